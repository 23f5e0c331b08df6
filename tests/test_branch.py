from __future__ import annotations

from dataclasses import replace

import pytest

from ets_client import Branch, EndReason, Expansion, SamplingParams, Usage
from tests.fakes import root

SAMPLING = SamplingParams(max_new_tokens=20)
OPEN = {EndReason.DELIMITER, EndReason.STOP_TOKEN, EndReason.STOP_REGEX, EndReason.STEP_LENGTH}


def branch(end: EndReason = EndReason.DELIMITER, usage: Usage | None = None) -> Branch:
    prefix = root([1]).child([97], "a")
    return Branch("a", (97,), prefix, end, "\n\n", "", usage or Usage(10, 8, 3), "r")


@pytest.mark.parametrize("end", EndReason)
def test_only_a_step_whose_text_goes_on_is_open(end: EndReason) -> None:
    assert branch(end).is_open is (end in OPEN)


def test_usage_adds_up_and_tells_what_was_computed() -> None:
    assert Usage(10, 8, 3) + Usage(1, 0, 2) == Usage(11, 8, 5)
    assert Usage(10, 8, 3).computed_tokens == 2
    assert Usage() == Usage(0, 0, 0)


def test_the_usage_of_an_expansion_holds_the_warming_request() -> None:
    both = Expansion(root([1]), (branch(), branch()), "plan", Usage(10, 0, 0), 0.1, SAMPLING)
    assert both.usage == Usage(30, 16, 6)
    assert Expansion(root([1]), (), "plan", Usage(5), 0.1, SAMPLING).usage == Usage(5)


def test_an_expansion_is_a_sequence_of_its_branches() -> None:
    one, two = branch(), branch(EndReason.EOS)
    both = Expansion(root([1]), (one, two), "plan", Usage(), 0.1, SAMPLING)
    assert len(both) == 2
    assert list(both) == [one, two]
    assert both[1] is two
    assert both[-1:] == (two,)
    with pytest.raises(IndexError):
        both[2]


def test_the_reuse_of_an_expansion_is_predicted_when_that_of_every_sample_is() -> None:
    known, unknown = replace(branch(), predicted_cached_tokens=8), branch()
    assert Expansion(root([1]), (known, known), "plan", Usage(), 0.1, SAMPLING).predicted_cached_tokens == 16
    assert Expansion(root([1]), (known, unknown), "plan", Usage(), 0.1, SAMPLING).predicted_cached_tokens is None
