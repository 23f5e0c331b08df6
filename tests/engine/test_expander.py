from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    DeadlineExceededError,
    EndReason,
    Expansion,
    LogprobOptions,
    RequestError,
    RequestRejectedError,
    SamplingParams,
    Usage,
)
from ets_client._core.limits import StepLimit
from ets_client._engine.deadline import Deadline
from ets_client._engine.expander import Expander, ExpandRequest
from ets_client._engine.tokenizers import ServerTokenizer
from ets_client._transport.base import TransportError
from tests.fakes import Clock, FakeStream, FakeTransport, Rig, events, eventually, never, reply, root, sample, text_of

if TYPE_CHECKING:
    from ets_client import Prefix
    from ets_client._engine.streaming import SampleStream
    from ets_client._transport.base import HttpReply, HttpRequest
    from tests.fakes import Entry

ROOT = root(range(97, 117))
STEP = SamplingParams(max_new_tokens=20, stop=("\n\n",), temperature=0.5)


class Bench:
    """An expander with a transport that follows a script, on a server that holds the prefix already."""

    def __init__(self, *script: Entry, warm: Prefix | None = ROOT) -> None:
        self.rig = rig = Rig(*script)
        self.transport: FakeTransport = rig.transport
        self.caller = rig.caller
        self.cache = rig.cache
        if warm is not None:
            self.cache.saw(warm)
        self.expander = Expander(rig.caller, ServerTokenizer(rig.caller, 60), self.cache, streams_increments=False)

    async def expand(self, n: int = 2, sampling: SamplingParams = STEP, **changes: Any) -> Expansion:
        return await self.expander.expand(self._request(n, sampling, **changes))

    async def open(self, *, every_token: bool = False) -> SampleStream:
        return await self.expander.open(self._request(2, STEP), every_token=every_token)

    def _request(self, n: int, sampling: SamplingParams, **changes: Any) -> ExpandRequest:
        fields: dict[str, Any] = {"prefix": ROOT, "logprobs": None, "deadline": Deadline(None, 0.0)}
        limit = StepLimit(sampling.max_new_tokens or 0, "step")
        return ExpandRequest(n=n, sampling=sampling, limit=limit, **(fields | changes))


def leader(rid: str) -> HttpReply:
    return reply(events(sample(rid) | {"index": 0}))


def samples(*each: dict[str, Any]) -> HttpReply:
    return reply(list(each))


async def detokenize(request: HttpRequest) -> HttpReply:
    return reply({"text": text_of(json.loads(request.body)["tokens"])})


async def test_a_warm_prefix_is_one_request() -> None:
    bench = Bench(samples(sample("a"), sample("b")), detokenize)
    expansion = await bench.expand()
    assert [request.url for request in bench.transport.requests] == [
        "http://server/generate",
        "http://server/detokenize",
    ]
    assert expansion.plan == "one batch of 2: the prefix is warm"
    assert expansion.warm_usage == Usage()


async def test_on_a_cold_prefix_the_first_sample_streams_alone() -> None:
    bench = Bench(leader("a"), samples(sample("b"), sample("c")), detokenize, warm=None)
    expansion = await bench.expand(3)
    first, others = bench.transport.body(0), bench.transport.body(1)
    assert (first["input_ids"], first["stream"]) == ([ROOT.token_ids], True)
    assert [one["stream_interval"] for one in first["sampling_params"]] == [21]
    assert (others["input_ids"], others.get("stream")) == ([ROOT.token_ids] * 2, None)
    assert [branch.rid for branch in expansion] == ["a", "b", "c"]
    assert [branch.predicted_cached_tokens for branch in expansion] == [0, 19, 19]
    assert expansion.plan == "the first sample computes 19 cold tokens, then one batch of 2"


async def test_the_others_go_at_the_first_token_and_not_at_the_end() -> None:
    end = asyncio.Event()
    begun = sample("a", (97,)) | {"index": 0}
    begun["meta_info"]["finish_reason"] = None
    bench = Bench(samples(sample("b")), detokenize, warm=None)
    ended = events(sample("a") | {"index": 0})
    bench.transport.stream_script = [FakeStream(events(begun, is_done=False), end, ended)]
    task = asyncio.create_task(bench.expand(2))
    await eventually(lambda: len(bench.transport.requests) == 2)
    end.set()
    assert [branch.rid for branch in await task] == ["a", "b"]


async def test_seeds_and_order_are_those_of_one_batch() -> None:
    bench = Bench(leader("a"), samples(sample("b"), sample("c")), detokenize, warm=None)
    await bench.expand(3, STEP.model_copy(update={"seed": 7}))
    sent = [one for place in (0, 1) for one in bench.transport.body(place)["sampling_params"]]
    assert [one["sampling_seed"] for one in sent] == [7, 8, 9]


async def test_a_leader_that_was_aborted_in_the_queue_hands_over_to_the_next_sample() -> None:
    gone = {"index": 0, "text": "", "meta_info": {"id": "a", "finish_reason": {"type": "abort", "message": "Abort"}}}
    bench = Bench(reply(events(gone)), leader("b"), samples(sample("c")), detokenize, warm=None)
    expansion = await bench.expand(3)
    assert [branch.end for branch in expansion] == [EndReason.ABORTED, EndReason.DELIMITER, EndReason.DELIMITER]
    assert [branch.predicted_cached_tokens for branch in expansion] == [0, 0, 19]


@pytest.mark.parametrize("status", [400, 503, 500])
async def test_a_failure_inside_a_leaders_stream_is_the_error_it_would_be_without(status: int) -> None:
    finish = {"type": "abort", "message": "no room", "status_code": status}
    failed = reply(events(sample("a", (), finish) | {"index": 0}))
    bench = Bench(failed, leader("a"), samples(sample("b")), detokenize, warm=None)
    if status == 400:
        with pytest.raises(RequestRejectedError, match="no room"):
            await bench.expand(2)
        assert len(bench.transport.requests) == 1
    else:
        assert len(await bench.expand(2)) == 2


async def test_a_leader_whose_stream_breaks_is_sent_again() -> None:
    broken = TransportError("reset", was_sent=True)
    begun = sample("a", (97,)) | {"index": 0}
    begun["meta_info"]["finish_reason"] = None
    bench = Bench(warm=None)
    bench.rig.server.gate.has_answered = bench.transport.answers_probes = True
    bench.transport.stream_script = [
        FakeStream(events(begun, is_done=False), broken),
        FakeStream(events(sample("a") | {"index": 0})),
    ]
    (branch,) = await bench.expand(1, STEP.model_copy(update={"stop": None}))
    assert branch.rid == "a"
    assert all(stream.is_closed for stream in bench.transport.streams)


async def test_a_batch_on_a_server_that_was_lost_is_sent_after_its_prefix() -> None:
    warmed = sample("w", (), {"type": "length", "length": 0}, 20)
    bench = Bench(
        TransportError("reset", was_sent=True), samples(warmed), samples(sample("a"), sample("b")), detokenize
    )
    bench.rig.server.gate.has_answered = bench.transport.answers_probes = True
    bench.transport.probe_script = [TransportError("refused", was_sent=False)]
    expansion = await bench.expand()
    assert bench.transport.body(1)["sampling_params"] == [{"max_new_tokens": 0}]
    assert expansion.warm_usage == Usage(20, 19, 0)
    assert expansion.usage == expansion.warm_usage + expansion[0].usage + expansion[1].usage


async def test_the_text_of_a_last_token_is_asked_for_once_in_an_expand() -> None:
    bench = Bench(samples(*(sample(str(place)) for place in range(5))), detokenize)
    await bench.expand(5)
    assert len(bench.transport.requests) == 2


async def test_a_last_token_with_more_characters_gives_the_overshoot() -> None:
    bench = Bench(samples(sample("a", (97, 301))), detokenize, detokenize)
    (branch,) = await bench.expand(1)
    assert (branch.text, branch.matched, branch.overshoot) == ("a.", "\n\n", "Next")
    assert branch.prefix.step_text == "a.\n\nNext"
    assert branch.prefix.token_ids == [*ROOT.token_ids, 97, 301]
    assert bench.transport.body()["tokens"] == [97, 301]


async def test_a_last_token_that_ends_with_the_stop_string_has_no_overshoot() -> None:
    bench = Bench(samples(sample("a", (97, 302))), detokenize, detokenize)
    (branch,) = await bench.expand(1)
    assert (branch.text, branch.overshoot, branch.prefix.step_text) == ("a.", "", "a.\n\n")


@pytest.mark.parametrize(
    ("finish", "end", "matched"),
    [
        ({"type": "stop", "matched": 1}, EndReason.EOS, 1),
        ({"type": "length", "length": 20}, EndReason.PATH_LENGTH, None),
        ({"type": "abort", "message": "Aborted"}, EndReason.ABORTED, None),
        ({"type": "stop", "matched": [1, 2]}, EndReason.UNKNOWN, None),
    ],
)
async def test_other_ends_need_no_text_of_tokens(finish: dict[str, Any], end: EndReason, matched: object) -> None:
    bench = Bench(samples(sample("a", (97, 98), finish)))
    (branch,) = await bench.expand(1)
    assert (branch.end, branch.matched, branch.text, branch.rid) == (end, matched, "ab", "a")


async def test_a_stop_without_tokens_has_no_overshoot() -> None:
    bench = Bench(samples(sample("a", ())))
    (branch,) = await bench.expand(1)
    assert (branch.end, branch.overshoot, branch.token_ids) == (EndReason.DELIMITER, "", ())


async def test_a_sample_without_finish_reason_has_an_unknown_end() -> None:
    bench = Bench(samples({"text": "ab", "output_ids": [97, 98], "meta_info": {"id": "a"}}))
    (branch,) = await bench.expand(1)
    assert branch.end is EndReason.UNKNOWN


async def test_branches_are_warm_afterwards() -> None:
    bench = Bench(samples(sample("a"), sample("b", (98, 300))), detokenize)
    expansion = await bench.expand()
    assert [bench.cache.cold(branch.prefix) for branch in expansion] == [0, 0]


async def test_a_sample_aborted_in_the_queue_warms_nothing() -> None:
    gone = {"index": 0, "text": "", "meta_info": {"id": "a", "finish_reason": {"type": "abort", "message": "Abort"}}}
    bench = Bench(reply(events(gone)), warm=None)
    (branch,) = await bench.expand(1)
    assert branch.end is EndReason.ABORTED
    assert bench.cache.tokens == 0


async def test_siblings_have_seeds_in_order_and_other_fields_alike() -> None:
    bench = Bench(samples(*(sample(str(place)) for place in range(3))), detokenize)
    await bench.expand(3, STEP.model_copy(update={"seed": 7}))
    sent = bench.transport.body(0)["sampling_params"]
    assert [one.pop("sampling_seed") for one in sent] == [7, 8, 9]
    assert sent == [{"max_new_tokens": 20, "stop": ["\n\n"], "temperature": 0.5}] * 3


async def test_an_expansion_tells_what_was_sent() -> None:
    bench = Bench(samples(sample("a"), sample("b")), detokenize)
    seeded = STEP.model_copy(update={"seed": 7})
    assert (await bench.expand(2, seeded)).sampling == seeded


async def test_without_a_seed_none_is_sent() -> None:
    bench = Bench(samples(sample("a"), sample("b")), detokenize)
    await bench.expand()
    assert all("sampling_seed" not in one for one in bench.transport.body(0)["sampling_params"])


@pytest.mark.parametrize("wanted", [True, False])
async def test_logprobs_come_when_asked_for(*, wanted: bool) -> None:
    raw = [[-1.0, 97, None], [-2.0, 300, None]]
    bench = Bench(samples(sample("a", output_token_logprobs=raw)), detokenize)
    (branch,) = await bench.expand(1, logprobs=LogprobOptions() if wanted else None)
    assert ("return_logprob" in bench.transport.body(0)) is wanted
    assert (branch.logprobs.values if branch.logprobs else None) == ((-1.0, -2.0) if wanted else None)


async def test_logprobs_that_a_server_leaves_out_are_none() -> None:
    bench = Bench(samples(sample("a")), detokenize)
    (branch,) = await bench.expand(1, logprobs=LogprobOptions())
    assert branch.logprobs is None


async def test_the_deadline_covers_the_leader_and_tells_of_its_attempt() -> None:
    bench, clock = Bench(never, warm=None), Clock()
    task = asyncio.create_task(bench.expand(deadline=Deadline.after(60)))
    await clock.jump(60, when=lambda: len(bench.transport.requests) == 1)
    with pytest.raises(DeadlineExceededError) as caught:
        await task
    await bench.caller.aclose()
    assert list(caught.value.rids) == bench.transport.aborted == bench.transport.body(0)["rid"]


async def test_the_deadline_covers_the_text_of_last_tokens() -> None:
    bench, clock = Bench(samples(sample("a"), sample("b")), never), Clock()
    task = asyncio.create_task(bench.expand(deadline=Deadline.after(30)))
    await clock.jump(30, when=lambda: len(bench.transport.requests) == 2)
    with pytest.raises(DeadlineExceededError, match="was not decoded within 30 s"):
        await task


async def test_a_server_that_cannot_detokenise_is_an_error() -> None:
    bench = Bench(samples(sample("a"), sample("b")), reply({"error": "no tokenizer"}, 400))
    with pytest.raises(RequestError, match="no tokenizer"):
        await bench.expand()


@pytest.mark.parametrize(("every_token", "interval"), [(False, 21), (True, None)])
async def test_a_stream_shows_every_token_or_each_sample_at_its_end(*, every_token: bool, interval: int | None) -> None:
    bench = Bench(reply(events(sample("a") | {"index": 0}, sample("b") | {"index": 1})))
    stream = await bench.open(every_token=every_token)
    sent = bench.transport.body(0)
    assert sent["stream"] is True
    assert [one.get("stream_interval") for one in sent["sampling_params"]] == [interval] * 2
    assert list(stream.rids) == sent["rid"]
    for place in range(2):
        part = await stream.part()
        assert part is not None
        assert (part.index, part.text) == (place, "a")
    assert await stream.part() is None


async def test_a_cold_prefix_is_computed_before_a_stream() -> None:
    warmed = sample("w", (), {"type": "length", "length": 0}, 20)
    bench = Bench(samples(warmed), reply(events()), warm=None)
    await bench.open()
    assert bench.transport.body(0)["sampling_params"] == [{"max_new_tokens": 0}]
    assert bench.transport.body(1)["input_ids"] == [ROOT.token_ids] * 2
