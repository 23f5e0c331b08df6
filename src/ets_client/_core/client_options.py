"""Whether the options of a client are what they should be; a wrong one would fail in the middle of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..retry import RetryPolicy
from ..sampling import SamplingParams
from .guard import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_options"]


def check_options(options: Mapping[str, object]) -> None:
    """Check options that need nothing but a look; those that were not given are left out.

    Args:
        options: the keyword arguments of the client.

    Raises:
        ConfigurationError: one of them is something else.
    """
    timeout = options.get("timeout")
    if timeout is not None and not (is_number(timeout) and timeout > 0):
        raise ConfigurationError(f"timeout = {timeout!r}: seconds above 0, or None for no limit")
    connections = options.get("connections", 1)
    if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
        raise ConfigurationError(f"connections = {connections!r}: a whole number of at least 1")
    plan = options.get("plan", "batch")
    if plan not in ("batch", "server_n"):
        raise ConfigurationError(f"plan = {plan!r}: 'batch' or 'server_n'")
    for name, wanted in (("retry", RetryPolicy), ("sampling", SamplingParams)):
        given = options.get(name)
        if given is not None and not isinstance(given, wanted):
            raise ConfigurationError(f"{name} = {given!r}: {wanted.__name__}(...), or leave it out")
    observer = options.get("observer")
    if observer is not None and not callable(observer):
        raise ConfigurationError(f"observer = {observer!r}: a function that takes an event, or None")
