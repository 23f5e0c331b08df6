from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest

from ets_client import AsyncPolicyClient, Branch, ConfigurationError, EndReason, Prefix, SamplingParams
from ets_client.logprobs import LogprobLists, Logprobs
from ets_client.prefix import Origin
from ets_client.search.journal import StepEntry, branch_of, root_of, step_entry_of
from ets_client.usage import Usage

from .lines import question

if TYPE_CHECKING:
    from ets_client.testing import FakeServer

ROOT = Prefix([1, 2, 3], "Q", origin=Origin("t", "ns"))


def branch(parent: Prefix, text: str, stop: str, end: EndReason, *logprobs: float) -> Branch:
    ids = tuple(ord(letter) for letter in text + stop)
    read = Logprobs(lambda: LogprobLists(logprobs)) if logprobs else None
    usage = Usage(len(parent), len(parent) - 1, len(ids))
    return Branch(text, ids, parent.child(ids, text + stop), end, stop or None, "", usage, f"rid-{text}", read)


@pytest.mark.parametrize("plan", ["logprobs", "none"])
async def test_a_branch_of_a_server_comes_back_equal(fake_sglang: FakeServer, plan: str) -> None:
    async with AsyncPolicyClient(fake_sglang.base_url, profile="tiny") as client:
        root = await client.root("1 + 1?")
        expansion = await client.expand(root, 8, SamplingParams(max_new_tokens=12), logprobs=plan == "logprobs")
        for made in expansion:
            read = branch_of(msgspec.json.decode(msgspec.json.encode(step_entry_of(made)), type=StepEntry), root)
            for name in ("text", "token_ids", "prefix", "end", "matched", "overshoot", "usage", "rid", "is_open"):
                assert getattr(read, name) == getattr(made, name), name
            assert read.prefix.text == made.prefix.text
            assert read.prefix.step_text == made.prefix.step_text
            if made.logprobs is None or read.logprobs is None:
                assert made.logprobs is read.logprobs is None
            else:
                assert read.logprobs.mean == made.logprobs.mean


def test_a_step_that_was_continued_is_one_with_all_its_pieces() -> None:
    one = branch(ROOT, "so much", "", EndReason.STEP_LENGTH, -1.0, -2.0)
    two = branch(one.prefix, " more", "\n\n", EndReason.DELIMITER, -6.0)
    step = step_entry_of(one, two)
    assert (step.text, step.full_text) == ("so much more", "so much more\n\n")
    assert step.ids == [*one.token_ids, *two.token_ids]
    assert (step.end, step.matched, step.rid) == ("delimiter", "\n\n", "rid- more")
    assert (step.prompt, step.cached, step.generated) == (3 + 10, 2 + 9, 7 + 7)
    assert (step.logprob, step.pieces) == (-3.0, 2)
    assert branch_of(step, ROOT).prefix == two.prefix


def test_of_log_probabilities_the_mean_is_left_and_asking_for_more_says_so() -> None:
    made = branch(ROOT, "so", "", EndReason.EOS, -1.0, -2.0)
    read = branch_of(step_entry_of(made), ROOT).logprobs
    assert read is not None
    assert read.mean == -1.5
    assert repr(read) == "RecordedLogprobs(mean -1.500)"
    with pytest.raises(ConfigurationError, match="only the mean"):
        _ = read.values


def test_a_mean_that_is_no_number_is_none() -> None:
    assert step_entry_of(branch(ROOT, "so", "", EndReason.EOS, -math.inf)).logprob is None
    empty = Branch("", (), ROOT, EndReason.PATH_LENGTH, None, "", Usage(), "rid", Logprobs(lambda: LogprobLists(())))
    assert step_entry_of(empty).logprob is None
    assert (
        step_entry_of(branch(ROOT, "a", "", EndReason.STEP_LENGTH), branch(ROOT, "b", "", EndReason.EOS)).logprob
        is None
    )


def test_what_failed_says_why() -> None:
    assert step_entry_of(branch(ROOT, "so", "", EndReason.STEP_LENGTH), failed="too long").failed == "too long"


def test_a_root_belongs_to_the_client_that_goes_on_with_it() -> None:
    root = root_of(question(), Origin("t"))
    assert (root.token_ids, root.text, root.origin) == ([1, 2, 3], "Q: 1 + 1?", Origin("t"))
