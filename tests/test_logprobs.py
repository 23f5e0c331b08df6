from __future__ import annotations

import math
import pickle
from functools import partial
from typing import Any

import pytest

from ets_client import ConfigurationError, InvalidRequestError, LogprobOptions, Logprobs
from ets_client.logprobs import LogprobLists


def of(*values: float, **more: Any) -> Logprobs:
    return Logprobs(partial(LogprobLists, values, **more))


def test_values_their_mean_and_their_number_are_read() -> None:
    logprobs = of(-1.0, -3.0)
    assert (logprobs.values, logprobs.mean, len(logprobs)) == ((-1.0, -3.0), -2.0, 2)


def test_nothing_is_read_until_it_is_asked_for_and_then_once() -> None:
    reads: list[int] = []

    def read() -> LogprobLists:
        reads.append(1)
        return LogprobLists((-1.0,), ({5: -1.0},))

    logprobs = Logprobs(read)
    assert repr(logprobs) == "Logprobs(not read yet)"
    assert not reads
    assert (logprobs.values, logprobs.top) == ((-1.0,), ({5: -1.0},))
    assert repr(logprobs) == "Logprobs(1 tokens)"
    assert len(reads) == 1


def test_the_mean_of_an_empty_step_is_no_number() -> None:
    assert math.isnan(of().mean)


def test_top_and_chosen_keep_their_order() -> None:
    logprobs = of(-1.0, top=({7: -0.5, 5: -1.0},), chosen=({9: -3.0, 5: -1.0},))
    assert [list(each) for each in logprobs.top] == [[7, 5]]
    assert [list(each) for each in logprobs.chosen] == [[9, 5]]


@pytest.mark.parametrize(("name", "example"), [("top", "top=5"), ("chosen", "chosen=")])
def test_what_was_not_asked_for_is_an_error_that_says_how_to_ask(name: str, example: str) -> None:
    with pytest.raises(ConfigurationError, match=f"LogprobOptions\\({example}"):
        getattr(of(-1.0), name)
    assert getattr(of(), name) == ()  # a sample that was aborted in the queue


def test_they_can_be_pickled_before_and_after_they_are_read() -> None:
    unread, was_read = of(-1.0), of(-2.0)
    assert was_read.values == (-2.0,)
    assert [pickle.loads(pickle.dumps(each)).values for each in (unread, was_read)] == [(-1.0,), (-2.0,)]


@pytest.mark.parametrize("top", [-1, 1001, 1.0, True, "1", None])
def test_a_number_of_alternatives_out_of_range_is_refused(top: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LogprobOptions(top=top)
    assert caught.value.argument == "logprobs.top"


@pytest.mark.parametrize("chosen", [[-1], [1.0], [True], ["5"], [None], [[5]]])
def test_something_that_is_no_token_id_is_refused_with_its_place(chosen: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LogprobOptions(chosen=chosen)
    assert caught.value.argument == "logprobs.chosen[0]"


@pytest.mark.parametrize("chosen", [5, "5", b"5", None, {5}])
def test_something_that_is_no_list_of_ids_is_refused(chosen: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LogprobOptions(chosen=chosen)
    assert caught.value.argument == "logprobs.chosen"


def test_options_are_values() -> None:
    ids = [5, 6]
    options = LogprobOptions(top=3, chosen=ids)
    ids.append(7)
    assert options == LogprobOptions(top=3, chosen=(5, 6))
    assert hash(options) == hash(LogprobOptions(top=3, chosen=range(5, 7)))
