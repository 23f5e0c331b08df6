from __future__ import annotations

from typing import Any

import pytest

from ets_client import InvalidRequestError, LogprobOptions
from ets_client._core.logprobs import check_logprobs
from tests.fakes import server_info

NEW, OLD = server_info(version="0.5.21"), server_info(version="0.5.18")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(False, None), (True, LogprobOptions()), (LogprobOptions(top=3), LogprobOptions(top=3))],
)
def test_yes_is_the_tokens_own_log_probabilities(given: Any, wanted: LogprobOptions | None) -> None:
    assert check_logprobs(given, OLD, 2048) == wanted


@pytest.mark.parametrize("given", [None, 1, 0, "yes", [], {}])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match="logprobs"):
        check_logprobs(given, OLD, 2048)


@pytest.mark.parametrize(("vocab_size", "most"), [(50, 50), (None, 256)])
def test_more_alternatives_than_the_vocabulary_has_tokens_are_refused(vocab_size: int | None, most: int) -> None:
    options = LogprobOptions(top=most)
    assert check_logprobs(options, OLD, vocab_size) is options
    with pytest.raises(InvalidRequestError, match=f"at most {most}"):
        check_logprobs(LogprobOptions(top=most + 1), OLD, vocab_size)


@pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.20", "", "main"])
def test_chosen_ids_are_refused_where_the_server_dies_of_them(version: str) -> None:
    with pytest.raises(InvalidRequestError, match=version or "an unknown version") as caught:
        check_logprobs(LogprobOptions(chosen=[5]), server_info(version=version), 2048)
    assert caught.value.argument == "logprobs.chosen"


def test_chosen_ids_must_be_of_the_vocabulary() -> None:
    options = LogprobOptions(chosen=[5, 2047])
    assert check_logprobs(options, NEW, 2048) is options
    with pytest.raises(InvalidRequestError) as caught:
        check_logprobs(options, NEW, 2047)
    assert caught.value.argument == "logprobs.chosen[1]"
    with pytest.raises(InvalidRequestError, match="vocabulary size is known"):
        check_logprobs(options, NEW, None)
