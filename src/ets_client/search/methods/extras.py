"""Libraries that only some decisions need, imported when they do."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import ConfigurationError

__all__ = ["load"]


def load(module: str, instead: str, extra: str = "search") -> Any:
    """A module of a library without types.

    Args:
        module: its full name.
        instead: what one can do without it.
        extra: of this package, that brings it.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(f'{module} is missing: pip install "ets-client[{extra}]", or {instead}') from error
