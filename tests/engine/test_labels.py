from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ets_client import (
    DeadlineExceededError,
    InvalidRequestError,
    LabelChoice,
    LabelProbs,
    Prefix,
    RequestRejectedError,
    ScoreFailure,
)
from ets_client._engine.deadline import Deadline
from ets_client._engine.labels import Labels
from ets_client._engine.tokenizers import ServerTokenizer
from tests.fakes import Clock, Rig, eventually, never, reply, root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client._engine.server_cache import ServerCache
    from ets_client._transport.base import HttpReply, HttpRequest
    from tests.fakes import Entry

FOREVER = Deadline(None, 0.0)
SHORT, LONG = root([1, 2, 3]), root(range(10))


async def judge(request: HttpRequest) -> HttpReply:
    """Labels are the less probable the greater their id; a prompt that begins with 9 gets nothing."""
    rows = json.loads(request.body)["input_ids"]
    found = [[] if ids[0] == 9 else [[-9.0, ids[-2], None], [-float(ids[-1]), ids[-1], None]] for ids in rows]
    return reply([{"meta_info": {"input_token_logprobs": each}} for each in found])


async def choose(request: HttpRequest) -> HttpReply:
    """The first label of three chances in four; a prompt that begins with 9 gets nothing."""
    body = json.loads(request.body)
    found: list[Any] = []
    for ids, sampling in zip(body["input_ids"], body["sampling_params"], strict=True):
        first, second = map(int, sampling["logit_bias"])
        found.append([] if ids[0] == 9 else [[[math.log(0.75), first, None], [math.log(0.25), second, None]]])
    return reply([{"meta_info": {"output_top_logprobs": each}} for each in found])


async def tokenize(request: HttpRequest) -> HttpReply:
    return reply({"tokens": [ord(character) for character in json.loads(request.body)["prompt"]]})


class Setting(NamedTuple):
    labels: Labels
    rig: Rig
    cache: ServerCache
    warmed: list[Prefix]


def setting_of(*script: Entry, vocab_size: int | None = 100, max_input_tokens: int = 11) -> Setting:
    rig, warmed = Rig(*script), list[Prefix]()

    async def warm(prefix: Prefix, deadline: Deadline) -> None:
        warmed.append(prefix)
        async with deadline.limit("the prefix was not prefilled"):
            await asyncio.sleep(0)
            if prefix.token_ids[-1] == 99:
                raise RequestRejectedError("too hot")

    tokenizer = ServerTokenizer(rig.caller, 60)
    return Setting(Labels(rig.caller, tokenizer, vocab_size, max_input_tokens, rig.cache, warm), rig, rig.cache, warmed)


def labels_of(*script: Entry, vocab_size: int | None = 100) -> tuple[Labels, Rig]:
    setting = setting_of(*script, vocab_size=vocab_size)
    return setting.labels, setting.rig


async def test_outcomes_are_in_the_order_of_the_prefixes_and_too_long_ones_are_not_sent() -> None:
    labels, rig = labels_of(judge)
    other = root([9, 9])
    outcomes = await labels.probs([LONG, SHORT, other], [7, 5], FOREVER)
    too_long, scored, without = outcomes
    assert too_long == ScoreFailure("10 tokens; with a label behind them this server takes at most 9")
    assert scored == LabelProbs((7, 5), (-7.0, -5.0))
    assert without == ScoreFailure("the server gave no log-probabilities for the labels")
    assert rig.transport.body()["input_ids"] == [
        [*each.token_ids, label] for each in (SHORT, other) for label in (7, 5)
    ]
    assert len(set(rig.transport.body()["rid"])) == 4


async def test_the_longest_prompt_that_fits_is_sent() -> None:
    labels, _ = labels_of(judge)
    assert isinstance((await labels.probs([root(range(9))], [5], FOREVER))[0], LabelProbs)


@pytest.mark.parametrize("prefixes", [[], [LONG], [LONG, LONG]])
async def test_without_a_prefix_that_fits_nothing_is_sent(prefixes: Any) -> None:
    labels, rig = labels_of()
    assert [type(each) for each in await labels.probs(prefixes, [5], FOREVER)] == [ScoreFailure] * len(prefixes)
    assert rig.transport.requests == []


async def test_text_labels_are_one_token_without_special_ones() -> None:
    labels, rig = labels_of(tokenize, judge)
    (outcome,) = await labels.probs([SHORT], ["+", 5], FOREVER)
    assert outcome == LabelProbs((ord("+"), 5), (-43.0, -5.0))
    assert rig.transport.body(0) == {"prompt": "+", "add_special_tokens": False}


async def test_prefixes_keep_their_namespaces() -> None:
    labels, rig = labels_of(judge)
    await labels.probs([root([1], namespace="tree"), root([2], namespace="other")], [5, 6], FOREVER)
    assert rig.transport.body()["extra_key"] == ["tree", "tree", "other", "other"]


async def test_prefixes_with_and_without_a_namespace_are_two_requests() -> None:
    labels, rig = labels_of(judge, judge)
    outcomes = await labels.probs([SHORT, root([1], namespace="tree"), SHORT], [5], FOREVER)
    assert [outcome.token_ids for outcome in outcomes if isinstance(outcome, LabelProbs)] == [(5,)] * 3
    assert [rig.transport.body(place).get("extra_key") for place in range(2)] == [None, ["tree"]]


async def test_a_long_cold_prefix_is_warmed_before_and_is_warm_afterwards() -> None:
    setting = setting_of(judge, judge, max_input_tokens=2000)
    prefix = root(range(300))
    await setting.labels.probs([prefix, SHORT], [5, 6], FOREVER)
    assert setting.warmed == [prefix]
    await setting.labels.probs([prefix, SHORT], [5, 6], FOREVER)
    assert setting.warmed == [prefix]
    assert [setting.cache.held(each) for each in (prefix, SHORT)] == [300, 3]


async def test_a_prefix_without_a_score_is_not_thought_warm() -> None:
    setting = setting_of(judge)
    await setting.labels.probs([root([9, 9])], [5], FOREVER)
    assert setting.cache.tokens == 0


async def test_when_a_prefill_fails_its_own_error_comes_and_nothing_is_asked() -> None:
    setting = setting_of(max_input_tokens=2000)
    with pytest.raises(RequestRejectedError, match="too hot"):
        await setting.labels.probs([root([99] * 300), root([98] * 300)], [5, 6], FOREVER)
    assert setting.rig.transport.requests == []


@pytest.mark.parametrize(
    ("given", "argument", "words"),
    [
        ([], "labels", "1 to 256 labels"),
        (range(257), "labels", "1 to 256 labels"),
        ("+-", "labels", "a list"),
        ([""], "labels[0]", "at least one character"),
        ([5, "ab"], "labels[1]", r"this is 2: \[97, 98\]"),
        ([5, 5], "labels", "different tokens"),
        (["+", 43], "labels", "different tokens"),
        ([100], "token_ids[0]", "from 0 to 99"),
        ([-1], "token_ids[0]", "from 0 to 99"),
        ([True], "token_ids[0]", "from 0 to 99"),
    ],
)
async def test_labels_that_cannot_be_asked_for_are_refused(
    given: Sequence[str | int], argument: str, words: str
) -> None:
    labels, rig = labels_of(*[tokenize] * 2)
    with pytest.raises(InvalidRequestError, match=words) as caught:
        await labels.probs([SHORT], given, FOREVER)
    assert caught.value.argument == argument
    assert all(request.url.endswith("/tokenize") for request in rig.transport.requests)


async def test_ids_are_refused_while_the_vocabulary_is_unknown() -> None:
    labels, _ = labels_of(vocab_size=None)
    with pytest.raises(InvalidRequestError, match=r"model\.vocab_size"):
        await labels.probs([SHORT], [5], FOREVER)


@pytest.mark.parametrize(
    ("script", "words"),
    [([never], "the labels were not tokenised"), ([tokenize, never], "no answer")],
)
async def test_the_deadline_covers_all_of_it(script: list[Entry], words: str) -> None:
    labels, rig = labels_of(*script)
    clock = Clock()
    asking = asyncio.create_task(labels.probs([SHORT], ["+"], Deadline.after(30)))
    await clock.jump(30, when=lambda: len(rig.transport.requests) == len(script))
    with pytest.raises(DeadlineExceededError, match=f"{words} within 30 s"):
        await asking


async def test_cancelling_aborts_every_prompt() -> None:
    labels, rig = labels_of(never)
    asking = asyncio.create_task(labels.probs([SHORT, SHORT], [5], FOREVER))
    await eventually(lambda: len(rig.transport.requests) == 1)
    asking.cancel()
    await asyncio.wait([asking])
    await rig.caller.aclose()
    assert rig.transport.aborted == rig.transport.body()["rid"]
    assert rig.cache.books.ledger(0, None).probes.unanswered == 2


async def test_choices_are_in_the_order_of_the_prefixes_with_one_prompt_each() -> None:
    labels, rig = labels_of(choose)
    other = root([9, 9])
    too_long, chosen, without = await labels.choices([LONG, SHORT, other], [7, 5], FOREVER)
    assert too_long == ScoreFailure("10 tokens; with a label behind them this server takes at most 9")
    assert isinstance(chosen, LabelChoice)
    assert chosen.token_ids == (7, 5)
    assert chosen.probs == pytest.approx((0.75, 0.25))
    assert without == ScoreFailure("the server gave no log-probabilities for the labels")
    assert rig.transport.body()["input_ids"] == [[*SHORT.token_ids], [*other.token_ids]]
    assert len(set(rig.transport.body()["rid"])) == 2


@pytest.mark.parametrize("prefixes", [[], [LONG]])
async def test_without_a_prefix_that_fits_no_choice_is_asked_for(prefixes: Any) -> None:
    labels, rig = labels_of()
    assert [type(each) for each in await labels.choices(prefixes, [5], FOREVER)] == [ScoreFailure] * len(prefixes)
    assert rig.transport.requests == []


async def test_a_prefix_is_computed_once_for_a_choice_so_it_is_not_warmed_alone() -> None:
    setting = setting_of(choose, choose, max_input_tokens=2000)
    parent = root(range(300))
    await setting.labels.choices([parent], [5, 6], FOREVER)
    assert setting.warmed == []
    assert setting.cache.held(parent) == 300
    cold = root(range(300, 600))
    await setting.labels.choices([cold.child([1], "a"), cold.child([2], "b")], [5, 6], FOREVER)
    assert setting.warmed == [cold]
