"""What the tests of a caller share: how a try may go, and tries that can be told from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from ets_client import RequestError
from ets_client._engine.deadline import Deadline
from ets_client._engine.outgoing import Outgoing
from ets_client._transport.base import TransportError
from tests.fakes import Rig, reply

if TYPE_CHECKING:
    from collections.abc import Callable

FULL = reply({"message": "queue is full"}, 503)
REFUSED = TransportError("refused", was_sent=False)
RESET = TransportError("reset", was_sent=True)
FOREVER = Deadline(None, 0.0)


def numbered(per_try: int = 1, *, lane: Literal["work", "control"] = "work") -> Callable[[], Outgoing]:
    """Builds tries whose request ids are ``t1s1``, ``t1s2``, … ``t2s1``."""
    tries = 0

    def make() -> Outgoing:
        nonlocal tries
        tries += 1
        rids = tuple(f"t{tries}s{place}" for place in range(1, per_try + 1))
        return Outgoing("POST", "/generate", b"{}", rids, lane)

    return make


async def failure(rig: Rig, make: Callable[[], Outgoing] | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await rig.caller.call(make or numbered(), bytes, FOREVER)
    return caught.value
