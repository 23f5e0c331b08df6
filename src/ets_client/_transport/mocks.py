"""Whether a test replaced httpx's sending: our own connections would pass its mock by."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

__all__ = ["MockWatch"]

_log = logging.getLogger("ets_client")
# What respx (both of its mockers), pytest-httpx, vcrpy and unittest.mock.patch replace.
_TARGETS = (
    ("httpcore", "AsyncConnectionPool", "handle_async_request"),
    ("httpx", "AsyncHTTPTransport", "handle_async_request"),
    ("httpx", "AsyncClient", "_transport_for_url"),
    ("httpx", "AsyncClient", "send"),
    ("httpx", "AsyncClient", "request"),
)
# These wrap the same functions and let the request through; through httpx it would be 100 times slower for nothing.
_TRACERS = frozenset({"ddtrace", "elasticapm", "logfire", "newrelic", "opentelemetry", "scout_apm", "sentry_sdk"})
_Target = tuple[type, str, object]


class MockWatch:
    """Looks at httpx's functions before each request (0.5 µs), without importing it: unimported it is not mocked.

    Anything unknown counts as a mock: to send a real request from a mocked test is worse than to be slow.
    """

    def __init__(self) -> None:
        self._modules = 0
        self._harmless: list[_Target] = []
        self._warned: object = None

    def is_mocked(self) -> bool:
        """Whether a request must go through httpx so that a mock sees it."""
        modules = ("httpx" in sys.modules) + ("httpcore" in sys.modules)  # httpx imports httpcore late
        if modules != self._modules:
            self._harmless, is_whole = _targets()
            self._modules = modules if is_whole else 0  # another thread imports it just now: look again
        for owner, name, function in self._harmless:
            if owner.__dict__.get(name) is not function:
                return self._look()
        return False

    def _look(self) -> bool:
        found: list[_Target] = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in self._harmless]
        for owner, name, function in found:
            source = _source(function)
            if function is None or source in {"httpx", "httpcore"} or source in _TRACERS:
                continue
            if self._warned is not function:
                self._warned = function
                _log.info("%s.%s is replaced by %s: requests go through httpx", owner.__name__, name, source)
            return True
        self._harmless = found
        return False


def _targets() -> tuple[list[_Target], bool]:
    loaded = [(sys.modules[module], owner, name) for module, owner, name in _TARGETS if module in sys.modules]
    found: list[_Target] = [
        (getattr(module, owner), name, None) for module, owner, name in loaded if hasattr(module, owner)
    ]
    return found, len(found) == len(loaded)


def _source(function: Any) -> str:
    """The package whose code runs, whatever name functools.wraps gave the function."""
    function = getattr(function, "_self_wrapper", function)  # wrapt's
    if not isinstance(function, FunctionType):
        return str(getattr(function, "__module__", None) or type(function).__module__).partition(".")[0]
    package = str(function.__globals__.get("__name__", "")).partition(".")[0]
    # A conftest may be called anything; what matters is that the code lies where httpx does.
    if package in {"httpx", "httpcore"}:
        root = Path(str(sys.modules[package].__file__)).parent
        return package if Path(function.__code__.co_filename).is_relative_to(root) else "a test"
    return package
