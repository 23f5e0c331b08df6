"""What every expand on one server works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.pace import Work
from .._wire.generate import read_samples
from ..usage import Usage
from .branches import usage_of

if TYPE_CHECKING:
    from ..prefix import Prefix
    from .caller import Caller
    from .deadline import Deadline
    from .dispatcher import Dispatcher
    from .pending import PendingCall
    from .requests import Requests
    from .server_cache import ServerCache

__all__ = ["Means"]


@dataclass(frozen=True, slots=True)
class Means:
    """Who is asked, how requests are written, and what is known of the server's cache.

    Attributes:
        caller: how to ask.
        requests: how requests are written.
        cache: what is known of the server's cache.
        streams_increments: the server's way to stream, or None when it is not told.
        dispatcher: lets expands leave together, or None when each leaves as soon as it is ready.
    """

    caller: Caller
    requests: Requests
    cache: ServerCache
    streams_increments: bool | None
    dispatcher: Dispatcher | None = None

    async def warm(self, prefix: Prefix, deadline: Deadline, call: PendingCall | None = None) -> Usage:
        """Put a prefix into the server's cache, unless it should be there, by a request without output.

        Args:
            prefix: what to compute.
            deadline: the end of it.
            call: the call of a search that asks; see :class:`Course`.

        Returns:
            Tokens of the request; zeros when there was none.

        Raises:
            RequestError: it failed.
        """
        cache = self.cache
        if not await cache.wait(prefix, deadline):
            return Usage()
        sent = cache.send(prefix, call)

        async def again() -> None:
            sent.lost()
            await cache.wait(prefix, deadline)
            sent.begin()

        try:
            (sample,) = await self.caller.call(
                lambda: self.requests.prefill(prefix),
                lambda body: read_samples(body, 1),
                deadline,
                Work(samples=1, new_tokens=0, prompt_tokens=len(prefix)),
                before_resend=again,
                call=call,
            )
            sent.finish(0, sample)
        finally:
            sent.lost()
        return usage_of(sample)
