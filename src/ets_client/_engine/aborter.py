"""Tell servers to stop samples that nobody waits for any more."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, slots=True)
class Live:
    """Samples that may run, and where: the client's address may have moved on since.

    Attributes:
        base: the server that they were sent to.
        headers: for an abort there; they may hold a key, so they are not shown.
        rids: their request ids.
    """

    base: str
    headers: Mapping[str, str] = field(repr=False)
    rids: tuple[str, ...]


class Aborter:
    """Sends aborts on connections of their own, where they never wait behind the work that they are to stop."""

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
        self._running: set[asyncio.Task[object]] = set()

    async def stop(self, live: Live) -> bool:
        """Stop samples; takes 2 s at most and does not fail: they may have ended.

        SGLang answers 200 whether or not an id is known, and matches by prefix: ids must not be prefixes of another.

        Args:
            live: the samples.

        Returns:
            Whether none of them runs any more: the server took every abort, or it is gone.
        """
        if not live.rids:
            return True

        url = f"{live.base}/abort_request"

        async def stop_one(rid: str) -> bool:
            body = json.dumps({"rid": rid}).encode()
            try:
                await self._transport.send(HttpRequest("POST", url, live.headers, body, "control"))
            except TransportError as error:
                return not error.was_sent
            return True

        self._counters.aborts += len(live.rids)
        self._tell(SamplesAborted(live.base, live.rids))
        try:
            async with asyncio.timeout(ABORT_SECONDS):
                return all(await asyncio.gather(*map(stop_one, live.rids)))
        except TimeoutError:
            _log.warning(
                "%s did not take the abort of %d samples within %g s", live.base, len(live.rids), ABORT_SECONDS
            )
            return False

    def stop_later(self, live: Live | None) -> None:
        """Stop samples in the background, if there are any."""
        if live is not None and live.rids:
            self.detach(self.stop(live))

    def detach(self, work: Coroutine[None, None, object]) -> None:
        """Let an end that needs aborts run on its own, whoever is cancelled meanwhile."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Wait for what was detached."""
        while self._running:
            await asyncio.wait(set(self._running))
