"""Keeps the ledger beside the calls: events are entered as they happen, or noted while somebody reads it."""

from __future__ import annotations

import time
from collections import deque
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVarTuple

from .._core.ledger import Accounts, Answer
from ..ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._core.ledger import Maker
    from .._core.ledger_tree import TreeAccount
    from .._wire.generate import WireSample
    from ..ledger import LedgerRow
    from ..prefix import Prefix

__all__ = ["ACCOUNT", "Bookkeeper"]

Ts = TypeVarTuple("Ts")

ACCOUNT: ContextVar[TreeAccount | None] = ContextVar("ets_client_tree", default=None)
"""The tree in whose scope a call is made; every task that works for the call inherits it."""


class Bookkeeper:
    """Writes down what calls cost. That belongs to the loop, which never waits; the ledger may be read in any thread.

    An event that waited to be entered would be ten objects, which after a burst keep arenas of CPython's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin empty books.

        Args:
            clock: seconds.
        """
        self._clock = clock
        self._accounts = Accounts()
        # Appended and taken by atomic calls alone.
        self._noted: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._lock = Lock()
        self._has_pruned = False

    @property
    def maker(self) -> Maker:
        """The mark on prefixes that this client's samples generated."""
        return self._accounts.maker

    def open(self, name: str) -> TreeAccount:
        """A tree with a scope begins."""
        with self._lock:
            return self._accounts.open(name)

    def close(self, account: TreeAccount) -> None:
        """It has ended."""
        self._note(self._accounts.close, account, self._clock())

    def expand(self, prefix: Prefix) -> None:
        """A call asks for samples, in the tree of the present context."""
        self._note(self._accounts.expand, ACCOUNT.get(), prefix, self._clock())

    def answer(
        self,
        account: TreeAccount | None,
        prefix: Prefix,
        predicted: int,
        replies: Sequence[WireSample],
        *,
        is_wanted: bool = True,
    ) -> None:
        """The samples of one request have come back, or a prefill.

        Args:
            account: the tree in whose scope they were sent, or None.
            prefix: their prompt.
            predicted: tokens that each should have found in the cache.
            replies: what came.
            is_wanted: whether their path was not pruned meanwhile.
        """
        outputs: list[Sequence[int]] = []
        closed: list[int] = []
        prefills = generated = ran = asked = reused = retractions = 0
        for reply in replies:
            meta, ids, finish = reply.meta_info, reply.output_ids, reply.meta_info.finish_reason
            is_prefill = not ids and (finish is None or finish.type != "abort")
            prefills += is_prefill
            generated += len(ids)
            retractions += meta.num_retractions or 0
            if meta.prompt_tokens:  # else it was aborted before it ran
                ran += 1
                asked += meta.prompt_tokens
                reused += meta.cached_tokens
                if not is_prefill:
                    if finish is None or (finish.type != "length" and not isinstance(finish.matched, str)):
                        closed.append(len(outputs))
                    outputs.append(ids)
        samples, predicted = len(replies) - prefills, ran * predicted
        answer = Answer(
            prefix, outputs, samples, prefills, generated, predicted, asked, reused, retractions, is_wanted, closed
        )
        self._note(self._accounts.answer, account, answer, self._clock())

    def unanswered(self, account: TreeAccount | None, prefix: Prefix, samples: int) -> None:
        """No reply came of so many samples."""
        self._note(self._accounts.unanswered, account, prefix, samples, self._clock())

    def probed(self, probes: int, asked: int, reused: int) -> None:
        """Label probes have come back.

        Args:
            probes: how many.
            asked: tokens of them all.
            reused: of these, tokens that were in the server's cache.
        """
        self._note(self._accounts.probed, probes, asked, reused)

    def unanswered_probes(self, probes: int) -> None:
        """No reply came of so many label probes."""
        self._note(self._accounts.unanswered_probes, probes)

    def prune(self, account: TreeAccount | None, prefixes: Sequence[Prefix]) -> list[Prefix]:
        """Paths are not in use any more.

        Returns:
            Those that are gone; see :meth:`TreeAccount.prune`.
        """
        self._has_pruned = True
        with self._lock:
            self._enter()
            now = self._clock()
            return [prefix for prefix in prefixes if self._accounts.prune(account, prefix, now)]

    def is_pruned(self, prefix: Prefix) -> bool:
        """Whether nobody wants what is asked of a path, in the tree of the present context."""
        if not self._has_pruned:
            return False
        with self._lock:
            self._enter()
            return self._accounts.is_pruned(ACCOUNT.get(), prefix)

    def ledger(self, cached: int, kv_bytes_per_token: float | None) -> Ledger:
        """The books now.

        Args:
            cached: tokens that the server should hold.
            kv_bytes_per_token: of its KV cache.
        """
        with self._lock:
            self._enter()
            now = self._clock()
            books = self._accounts
            return Ledger(books.total(now), books.rows(now), cached, kv_bytes_per_token, books.probes)

    def row(self, account: TreeAccount) -> LedgerRow:
        """The books of one tree now."""
        with self._lock:
            self._enter()
            return account.row(self._clock())

    def _note(self, enter: Callable[[*Ts], object], *args: *Ts) -> None:
        if not self._lock.acquire(blocking=False):  # somebody reads them
            self._noted.append((enter, args))
            return
        try:
            if self._noted:
                self._enter()
            enter(*args)
        finally:
            self._lock.release()

    def _enter(self) -> None:
        """Enter what is noted."""
        while self._noted:
            enter, args = self._noted.popleft()
            enter(*args)

    def __repr__(self) -> str:
        return f"Bookkeeper({self._accounts!r}, {len(self._noted)} events noted)"
