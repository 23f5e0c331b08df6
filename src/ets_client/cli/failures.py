"""What goes wrong is a line on stderr and the status 1."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

from ..errors import EtsClientError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["fail", "told"]


def fail(error: object) -> NoReturn:
    """End with a line that says what was wrong."""
    typer.echo(f"error: {error}", err=True)
    sys.exit(1)


@contextmanager
def told(what: str) -> Generator[None, None, None]:
    """Work on files of a run.

    Args:
        what: is done; it needs packages that may be missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        fail(f'{what} {error.name}: pip install "ets-client[search]"')
    except EtsClientError as error:
        fail(error)
    except OSError as error:
        if error.filename is None:
            fail(error)
        fail(f"cannot write {error.filename}: {error.strerror}")
