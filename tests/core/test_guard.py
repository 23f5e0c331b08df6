from __future__ import annotations

from typing import Any

import pytest

from ets_client import Branch, EndReason, InvalidRequestError, Prefix, SamplingParams, Usage
from ets_client._core.guard import (
    check_fits,
    check_flag,
    check_ids,
    check_namespace,
    check_origin,
    check_path,
    check_paths,
    check_samples,
    check_sampling,
    check_text,
    check_timeout,
    check_token_fields,
    check_wait,
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


def test_an_endless_timeout_is_a_long_one() -> None:
    assert check_timeout(10**400) == check_timeout(float("inf")) == 1e9


@pytest.mark.parametrize("bad", [None, 5, "text", b"ids", {5, 6}, iter([5]), []])
def test_ids_are_a_sequence(bad: object) -> None:
    with pytest.raises(InvalidRequestError, match="at least one token id"):
        check_ids(bad, 100)


def test_a_path_is_a_prefix_or_a_branch_of_this_tokenizer() -> None:
    prefix = root([5, 6])
    branch = Branch("", (), prefix, EndReason.EOS, None, "", Usage(), "rid")
    assert check_path(prefix, "tok") is check_path(branch, "tok") is prefix
    assert check_paths([prefix, branch], "tok") == [prefix, prefix]
    with pytest.raises(InvalidRequestError, match="another tokenizer"):
        check_path(prefix, "another tokenizer")


@pytest.mark.parametrize("bad", [None, "text", [5, 6], Prefix])
def test_anything_else_as_a_path_is_refused(bad: object) -> None:
    with pytest.raises(InvalidRequestError, match="a Prefix or a Branch"):
        check_path(bad, "tok")


@pytest.mark.parametrize("bad", [None, "text", 5, iter([])])
def test_paths_are_a_sequence(bad: object) -> None:
    with pytest.raises(InvalidRequestError, match="a list of prefixes or branches"):
        check_paths(bad, "tok")


def test_a_path_that_is_none_is_named_by_its_place() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_paths([root([5]), "text"], "tok")
    assert caught.value.argument == "prefixes[1]"


@pytest.mark.parametrize("bad", [None, 1, "yes", []])
def test_a_flag_is_true_or_false(bad: object) -> None:
    assert check_flag(True, "logprobs") is True
    with pytest.raises(InvalidRequestError, match="logprobs"):
        check_flag(bad, "logprobs")


@pytest.mark.parametrize("bad", [None, -1, "1", True, float("nan"), float("inf"), 10**400])
def test_a_wait_is_seconds_or_none_at_all(bad: object) -> None:
    assert check_wait(0) == 0.0
    with pytest.raises(InvalidRequestError, match="seconds from 0"):
        check_wait(bad)


@pytest.mark.parametrize(
    "fields",
    [{"stop_token_ids": [100]}, {"stop_token_ids": [5, 10**30], "min_new_tokens": 1}],
)
def test_stop_tokens_are_inside_the_vocabulary(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="token ids from 0 to 99"):
        check_token_fields(SamplingParams(**fields), 100)


def test_a_minimum_length_leaves_tokens_to_choose_from() -> None:
    check_token_fields(SamplingParams(stop_token_ids=list(range(50)), min_new_tokens=1), 100)
    with pytest.raises(InvalidRequestError, match="at most half of the vocabulary"):
        check_token_fields(SamplingParams(stop_token_ids=list(range(51)), min_new_tokens=1), 100)


def test_without_a_known_vocabulary_stop_tokens_and_a_minimum_do_not_go_together() -> None:
    check_token_fields(SamplingParams(stop_token_ids=[10**6]), None)
    check_token_fields(SamplingParams(logit_bias={10**6: 1.0}), None)
    with pytest.raises(InvalidRequestError, match="vocabulary size is known"):
        check_token_fields(SamplingParams(stop_token_ids=[5], min_new_tokens=1), None)


def test_what_cannot_be_shown_is_refused_all_the_same() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for given, kind in ((10**5000, "int"), (deep, "list")):
        with pytest.raises(InvalidRequestError, match=f"n = <{kind}> is not possible"):
            check_samples(given)
