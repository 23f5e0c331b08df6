"""Fixtures for pytest. Loaded through the entry point ``pytest11`` of the extra ``ets-client[testing]``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .testing.options import FakeOptions
    from .testing.server import FakeServer

__all__ = ["FakeServerFactory", "fake_sglang", "fake_sglang_factory"]


class FakeServerFactory(Protocol):
    """Starts servers that end with the test."""

    def __call__(self, options: FakeOptions | None = None, **others: Any) -> FakeServer:
        """Start one, in a thread of its own.

        Args:
            options: its flags.
            **others: see :class:`FakeServer`.
        """
        ...


@pytest.fixture
def fake_sglang_factory() -> Iterator[FakeServerFactory]:
    """Start fake servers, each in its own thread: ``fake_sglang_factory(FakeOptions(page_size=16))``."""
    from .testing import FakeServer  # late: this module is imported in every pytest run, with the extra or without

    with contextlib.ExitStack() as stack:

        def make(options: FakeOptions | None = None, **others: Any) -> FakeServer:
            return stack.enter_context(FakeServer(options, **others))

        yield make


@pytest.fixture
def fake_sglang(fake_sglang_factory: FakeServerFactory) -> FakeServer:
    """A fake SGLang server with default options, in its own thread: ``fake_sglang.base_url``."""
    return fake_sglang_factory()
