"""Cancel a call at every single step of the loop that it takes, whatever it has met: nothing may be left."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ets_client import RetryPolicy
from ets_client._core.limits import StepLimit
from ets_client._engine.deadline import Deadline
from ets_client._engine.expander import Expander, ExpandRequest
from ets_client._engine.tokenizers import ServerTokenizer
from ets_client._transport.base import HttpReply, HttpRequest, TransportError
from ets_client.sampling import SamplingParams
from tests.fakes import Rig, eventually, reply, root, sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fakes import Entry

FULL = reply({"message": "queue is full"}, 503)
FAULT = reply({"message": "broken"}, 500)
REFUSED = TransportError("refused", was_sent=False)
RESET = TransportError("reset", was_sent=True)
STALE = TransportError("closed", was_sent=True, was_idle=True)
MOST_STEPS = 200


running: set[str] = set()  # request ids that the made-up server works on


async def answer(request: HttpRequest) -> HttpReply:
    rids = json.loads(request.body)["rid"]
    running.update(rids)
    await steps(3)
    running.difference_update(rids)
    return reply([sample(rid) for rid in rids])


SCENARIOS: dict[str, list[Entry]] = {
    "cold prefix": [answer, answer],
    "full": [FULL, FULL, answer, FULL, answer],
    "reset": [RESET, answer, RESET, RESET, answer],
    "refused": [REFUSED, answer, REFUSED, answer],
    "stale": [STALE, answer, STALE, answer],
    "fault": [FAULT, answer, FAULT, answer],
}


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def expand(rig: Rig) -> None:
    expander = Expander(rig.caller, ServerTokenizer(rig.caller, None), rig.cache, streams_increments=False)
    limit = StepLimit(8, "step")
    request = ExpandRequest(root([97, 98, 99]), 3, SamplingParams(max_new_tokens=8), limit, None, Deadline(None, 0.0))
    await expander.expand(request)


async def stream(rig: Rig) -> None:
    expander = Expander(rig.caller, ServerTokenizer(rig.caller, None), rig.cache, streams_increments=False)
    limit = StepLimit(8, "step")
    request = ExpandRequest(root([97, 98, 99]), 3, SamplingParams(max_new_tokens=8), limit, None, Deadline(None, 0.0))
    parts = await expander.open(request, every_token=True)
    try:
        while await parts.part() is not None:
            pass
    finally:
        await parts.aclose()


async def events(request: HttpRequest) -> HttpReply:
    body = json.loads(request.body)
    if not body.get("stream"):
        return await answer(request)
    frames = [json.dumps({"index": index, **sample(rid)}) for index, rid in enumerate(body["rid"])]
    return HttpReply(200, "".join(f"data: {frame}\n\n" for frame in [*frames, "[DONE]"]).encode())


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("what", [expand, stream])
async def test_a_call_cancelled_at_any_step_leaves_nothing_behind(
    name: str, what: Callable[[Rig], Awaitable[None]]
) -> None:
    for step in range(MOST_STEPS):
        script = [events if entry is answer else entry for entry in SCENARIOS[name]]
        rig = Rig(*script, policy=RetryPolicy(attempts=9), has_answered=True)
        rig.transport.probe_script, rig.transport.piece_bytes = [REFUSED], 200
        running.clear()
        task = asyncio.ensure_future(what(rig))
        await steps(step)
        if task.done():
            await task
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: len(asyncio.all_tasks()) == 1)
        counters = rig.server.counters
        assert (counters.in_flight, counters.samples, rig.server.gate.waiting) == (0, 0, 0), (name, step)
        assert running <= set(rig.transport.aborted), (name, step)
        assert all(stream.is_closed for stream in rig.transport.streams), (name, step)
        await rig.caller.aclose()
    else:
        raise AssertionError(f"{name} did not end within {MOST_STEPS} steps")
