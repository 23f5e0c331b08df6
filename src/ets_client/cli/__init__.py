"""The command line: `ets-client`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; it needs the extra ``cli``."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit(f"ets-client needs {error.name}: pip install 'ets-client[cli]'")
    app()
