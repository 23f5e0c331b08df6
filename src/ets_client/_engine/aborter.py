"""Tell servers to stop samples that nobody waits for any more."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from .._record import Untracked
from .._transport.base import HttpRequest, TransportError
from ..events import SamplesAborted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from .._transport.base import Transport
    from ..events import ClientEvent
    from .counters import Counters

__all__ = ["Aborter", "Live"]

_log = logging.getLogger("ets_client")
ABORT_SECONDS = 2.0
CLOSE_SECONDS = 4.0  # less than the exit of an interpreter waits for the loop's thread
_AT_ONCE = 6  # of the 8 connections for control: a probe that queued behind 1,000 aborts would find the server gone
_AGAIN_SECONDS = 1.0  # the abort of a request younger than this is repeated after as long
_FENCE_SECONDS = 10.0
_TRIES = 2  # of an abort whose connection breaks, as an idle one does now and then


class Live(Untracked, frozen=True):
    """Samples that may run, and where: the client's address may have moved on since.

    Attributes:
        base: the server that they were sent to.
        headers: for an abort there; they may hold a key, so they are not shown.
        rids: their request ids.
        sent: when they went out, on the loop's clock, if that may have been just now.
    """

    base: str
    headers: Mapping[str, str]
    rids: tuple[str, ...]
    sent: float = -math.inf

    def __repr__(self) -> str:
        return f"Live({len(self.rids)} samples at {self.base})"


@dataclass(slots=True, eq=False)
class _Batch:
    """Aborts that somebody waits for together."""

    live: Live
    left: int
    is_taken: asyncio.Future[bool]
    were_all_taken: bool = True

    def note(self, *, was_taken: bool) -> None:
        """One of them has ended."""
        self.left -= 1
        self.were_all_taken &= was_taken
        if not self.left:
            self.end(were_all_taken=self.were_all_taken)

    def end(self, *, were_all_taken: bool) -> None:
        """All of them have; what is still queued is not sent."""
        if not self.is_taken.done():
            self.is_taken.set_result(were_all_taken)


class Aborter:
    """Sends aborts on connections of their own, where they never wait behind the work that they are to stop.

    They go out one after the other, six at a time, so that thousands at once (a search that ends) neither get lost
    nor shut out the probes. A server that takes none for 2 s gets no more of those that wait.

    SGLang forgets an abort whose request it has not begun to read, and the two come on different connections. So the
    abort of a request that went out just now is sent again a second later, or when the client closes. That may be too
    early still: its server (uvloop) accepts one new connection in each turn of its loop, and on a busy machine requests
    on new connections were read 7 s after they went out, while older connections were answered at once. New connections
    are accepted in their order, so one of the repeated aborts goes out on a new one, as a fence: when that is answered,
    everything before it was read, and the others follow.

    Attributes:
        again_after: seconds; see above.
    """

    def __init__(self, transport: Transport, counters: Counters, tell: Callable[[ClientEvent], None]) -> None:
        """Make an aborter.

        Args:
            transport: how bytes travel.
            counters: where aborts are counted.
            tell: told of each.
        """
        self._transport = transport
        self._counters = counters
        self._tell = tell
        self._queue: deque[tuple[_Batch, str]] = deque()
        self._repeats: deque[tuple[float, Live]] = deque()  # when, and what
        self._timer: asyncio.TimerHandle | None = None
        self._repeating = 0
        self._fences: set[asyncio.Timeout] = set()
        self._lateness = 0.0  # of what comes on a new connection, as the last fence found it
        self._workers = 0
        self._taken = 0
        self.again_after = _AGAIN_SECONDS
        self._is_closing = False
        self._is_closed = False
        self._running: set[asyncio.Task[object]] = set()

    async def stop(self, live: Live) -> bool:
        """Stop samples. It does not fail: they may have ended. It ends when the server takes no abort for 2 s.

        SGLang answers 200 whether or not an id is known, and matches by prefix: ids must not be prefixes of another.
        It knows whole ids only, so that there is no way to stop many with one request.

        Args:
            live: the samples.

        Returns:
            Whether none of them runs any more: the server took every abort, or it is gone.
        """
        return not live.rids or await self._put(live)

    def stop_later(self, live: Live | None) -> None:
        """Stop samples in the background, if there are any."""
        if live is not None and live.rids:
            self._put(live)

    def detach(self, work: Coroutine[None, None, object]) -> None:
        """Let an end that needs aborts run on its own, whoever is cancelled meanwhile."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Wait for what was detached and for all aborts, 4 s at most, and take no more."""
        self._is_closing = True
        for fence in self._fences:
            if not fence.expired():
                fence.reschedule(asyncio.get_running_loop().time() + ABORT_SECONDS)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._running or self._repeats:
                    while self._running:
                        await asyncio.wait(set(self._running))
                    self._repeat(until=math.inf)
        except TimeoutError:
            _log.warning("closed with %d aborts unsent: the server takes them too slowly", len(self._queue))
            for batch, _ in self._queue:
                batch.end(were_all_taken=False)
            left = set(self._running)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)  # the last of them may have ended just now
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _put(self, live: Live) -> asyncio.Future[bool]:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            nothing = loop.create_future()
            nothing.set_result(False)
            return nothing
        self._counters.aborts += len(live.rids)
        self._tell(SamplesAborted(live.base, live.rids))
        now = loop.time()
        if now - live.sent < max(self.again_after, 2.0 * self._lateness):
            self._repeats.append((now + self.again_after, live))
            self._repeat_later()
        return self._enqueue(live)

    def _repeat_later(self) -> None:
        """What becomes due while a fence is out waits for it, and has its own after it."""
        if self._repeats and self._timer is None and not self._repeating:
            self._timer = asyncio.get_running_loop().call_at(self._repeats[0][0], self._repeat_due)

    def _repeat_due(self) -> None:
        self._timer = None
        self._repeat(until=asyncio.get_running_loop().time())
        self._repeat_later()

    def _repeat(self, *, until: float) -> None:
        due: dict[str, list[Live]] = {}
        while self._repeats and self._repeats[0][0] <= until:
            live = self._repeats.popleft()[1]
            due.setdefault(live.base, []).append(live)
        for lives in due.values():
            self._repeating += 1
            self.detach(self._repeat_behind_fence(lives))

    async def _repeat_behind_fence(self, lives: list[Live]) -> None:
        first = lives[0]
        request = _abort_of(first, first.rids[0], is_fresh=True)
        loop = asyncio.get_running_loop()
        start = loop.time()
        fence = asyncio.timeout(ABORT_SECONDS if self._is_closing else _FENCE_SECONDS)
        self._fences.add(fence)
        try:
            async with fence:
                if await self._is_taken(request):
                    lives[0] = replace(first, rids=first.rids[1:])
        except TimeoutError:
            pass  # it has not been read yet, but may be any moment
        except Exception:  # noqa: BLE001 - a transport of the user's may raise anything, and the others wait
            _log.exception("the abort of a sample at %s failed", first.base)
        finally:
            self._fences.discard(fence)
            self._repeating -= 1
            self._repeat_later()
        self._lateness = loop.time() - start
        for live in lives:
            if live.rids:
                self._enqueue(live)

    def _enqueue(self, live: Live) -> asyncio.Future[bool]:
        batch = _Batch(live, len(live.rids), asyncio.get_running_loop().create_future())
        self._queue.extend((batch, rid) for rid in live.rids)
        for _ in range(min(_AT_ONCE - self._workers, len(live.rids))):
            self._workers += 1
            self.detach(self._work())
        return batch.is_taken

    async def _work(self) -> None:
        try:
            while self._queue:
                batch, rid = self._queue.popleft()
                if not batch.is_taken.done():  # nobody gave up, neither who waits for it nor we
                    await self._send(batch, rid)
        finally:
            self._workers -= 1

    async def _send(self, batch: _Batch, rid: str) -> None:
        live = batch.live
        request = _abort_of(live, rid)
        taken_before = self._taken
        try:
            async with asyncio.timeout(ABORT_SECONDS):
                was_taken = await self._is_taken(request)
            self._taken += was_taken
            batch.note(was_taken=was_taken)
        except TimeoutError:
            batch.note(was_taken=False)
            if self._taken == taken_before:
                self._give_up(live.base)
        except asyncio.CancelledError:
            batch.end(were_all_taken=False)
            raise
        except Exception:  # noqa: BLE001 - a transport of the user's may raise anything, and somebody waits
            _log.exception("the abort of a sample at %s failed", live.base)
            batch.note(was_taken=False)

    async def _is_taken(self, request: HttpRequest) -> bool:
        for _ in range(_TRIES):
            try:
                await self._transport.send(request)
            except TransportError as error:
                if not error.was_sent:
                    return True  # there is no server
            else:
                return True
        return False

    def _give_up(self, base: str) -> None:
        """No abort was taken for as long as one has: those that wait for this server would wait as long, each."""
        count = 1
        for batch, _ in self._queue:
            if batch.live.base == base:
                count += 1
                batch.end(were_all_taken=False)
        _log.warning("%s took no abort for %g s: %d samples may run on", base, ABORT_SECONDS, count)


def _abort_of(live: Live, rid: str, *, is_fresh: bool = False) -> HttpRequest:
    body = json.dumps({"rid": rid}).encode()
    return HttpRequest("POST", f"{live.base}/abort_request", live.headers, body, "control", is_fresh=is_fresh)
