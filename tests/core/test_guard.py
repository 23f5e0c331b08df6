from __future__ import annotations

from typing import Any

import pytest

from ets_client import InvalidRequestError, SamplingParams
from ets_client._core.guard import (
    check_fits,
    check_ids,
    check_namespace,
    check_origin,
    check_samples,
    check_sampling,
    check_text,
    check_timeout,
)
from tests.fakes import root


@pytest.mark.parametrize("n", [1, 8, 4096])
def test_a_whole_number_of_samples_passes(n: int) -> None:
    assert check_samples(n) == n


@pytest.mark.parametrize("n", [0, -1, 4097, True, 8.0, "8", None])
def test_any_other_number_of_samples_is_refused(n: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_samples(n)
    assert caught.value.argument == "n"


def test_text_passes_unchanged() -> None:
    assert check_text(" ки\n") == " ки\n"


@pytest.mark.parametrize("text", ["", None, 5, b"text"])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(InvalidRequestError, match="at least one character"):
        check_text(text)


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidRequestError, match="character 2 is not"):
        check_text("ab\ud800")


def test_an_empty_namespace_is_refused_and_none_is_the_common_one() -> None:
    assert check_namespace(None) is None
    assert check_namespace("a") == "a"
    with pytest.raises(InvalidRequestError, match="namespace"):
        check_namespace("")


def test_ids_inside_the_vocabulary_pass() -> None:
    assert check_ids([0, 9], 10) == (0, 9)


@pytest.mark.parametrize("token", [-1, 10, True, 1.0, "1", None])
def test_an_id_outside_the_vocabulary_is_refused_with_its_place(token: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"from 0 to 9$") as caught:
        check_ids([0, token], 10)
    assert (caught.value.argument, caught.value.given) == ("token_ids[1]", token)


def test_no_ids_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least one"):
        check_ids([], 10)


def test_ids_are_refused_while_the_vocabulary_is_unknown() -> None:
    with pytest.raises(InvalidRequestError, match=r"model\.vocab_size"):
        check_ids([1], None)


def test_a_prefix_of_another_tokenizer_is_refused() -> None:
    check_origin(root([1]), "tok")
    with pytest.raises(InvalidRequestError, match="'tok', this server has 'other'"):
        check_origin(root([1]), "other")


@pytest.mark.parametrize(("length", "fits"), [(9, True), (10, False), (11, False)])
def test_a_prompt_must_be_shorter_than_the_servers_limit(*, length: int, fits: bool) -> None:
    if fits:
        check_fits(length, 10)
        return
    with pytest.raises(InvalidRequestError, match="at most 9"):
        check_fits(length, 10)


def test_a_long_value_is_shortened_in_the_message_only() -> None:
    given: Any = [0] * 1000
    with pytest.raises(InvalidRequestError) as caught:
        check_samples(given)
    assert len(str(caught.value)) < 400
    assert caught.value.given is given


def test_sampling_is_sampling_params_or_nothing() -> None:
    given = SamplingParams(top_p=0.5)
    assert check_sampling(given) is given
    assert check_sampling(None) == SamplingParams()


@pytest.mark.parametrize("bad", [{"temperature": 1}, 0.7, "hot"])
def test_anything_else_as_sampling_is_refused(bad: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"SamplingParams\(\.\.\.\), or None"):
        check_sampling(bad)


def test_a_timeout_is_seconds_or_nothing() -> None:
    assert check_timeout(None) is None
    assert check_timeout(2) == 2.0


@pytest.mark.parametrize("bad", [0, -1, "1", True, float("nan")])
def test_anything_else_as_timeout_is_refused(bad: object) -> None:
    with pytest.raises(InvalidRequestError, match="seconds above 0"):
        check_timeout(bad)
