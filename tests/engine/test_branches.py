from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from ets_client import EndReason, SamplingParams, Usage
from ets_client._core.limits import StepLimit
from ets_client._engine.branches import BranchMaker, Found, usage_of
from ets_client._engine.deadline import Deadline
from ets_client._engine.tokenizers import ServerTokenizer
from ets_client._wire.generate import WireSample
from tests.fakes import Rig, reply, root, sample, text_of

if TYPE_CHECKING:
    from ets_client import Branch
    from ets_client._transport.base import HttpReply, HttpRequest

ROOT = root([1, 2, 3])
ABORT = {"type": "abort", "message": "Aborted"}


async def detokenize(request: HttpRequest) -> HttpReply:
    return reply({"text": text_of(json.loads(request.body)["tokens"])})


class Bench:
    def __init__(self, questions: int = 0) -> None:
        self.rig = Rig(*[detokenize] * questions)
        self.maker = BranchMaker(ServerTokenizer(self.rig.caller, 60))

    async def make(self, *arguments: Any, stop: str = "\n\n", **meta: Any) -> Branch:
        one = msgspec.convert(sample("r", *arguments, **meta), WireSample)
        limit = StepLimit(20, "step")
        (branch,) = await self.maker.make(ROOT, SamplingParams(stop=stop), limit, Deadline.after(None), [Found(one)])
        return branch


def test_usage_is_what_the_server_counted() -> None:
    assert usage_of(msgspec.convert(sample("r", (97,), prompt=9), WireSample)) == Usage(9, 8, 1)


async def test_the_text_of_a_token_is_asked_for_once_in_a_makers_life() -> None:
    bench = Bench(questions=1)
    for first in (97, 98, 99):
        await bench.make((first, 300))
    assert [json.loads(request.body)["tokens"] for request in bench.rig.transport.requests] == [[300]]


async def test_an_aborted_sample_is_a_branch_of_what_it_had() -> None:
    branch = await Bench().make((97, 98), ABORT)
    assert (branch.end, branch.token_ids, branch.predicted_cached_tokens) == (EndReason.ABORTED, (97, 98), None)


async def test_a_stop_string_inside_a_longer_token_is_found_in_the_whole_text() -> None:
    bench = Bench(questions=2)
    branch = await bench.make((97, 301), {"type": "stop", "matched": "."}, stop=".")
    assert (branch.text, branch.matched, branch.overshoot) == ("a", ".", "\n\nNext")
    assert branch.prefix.step_text == "a.\n\nNext"
