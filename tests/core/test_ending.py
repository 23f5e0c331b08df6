from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import EndReason
from ets_client._core.ending import end_of_step, overshoot_in, surely_ends_at
from ets_client._core.limits import StepLimit


def end(kind: str | None, matched: object = None, *, generated: int = 5, limit: StepLimit | None = None) -> EndReason:
    return end_of_step(
        kind,
        matched,
        generated=generated,
        limit=limit or StepLimit(5, "step"),
        stop=("\n\n", "ки"),
        stop_regex=("[0-9]+",),
        stop_token_ids=(7,),
    )


@pytest.mark.parametrize(
    ("kind", "matched", "reason"),
    [
        ("stop", "\n\n", EndReason.DELIMITER),
        ("stop", "ки", EndReason.DELIMITER),
        ("stop", 7, EndReason.STOP_TOKEN),
        ("stop", 2, EndReason.EOS),
        ("stop", "[0-9]+", EndReason.STOP_REGEX),
        ("stop", "NaN happened", EndReason.FAILED),
        ("stop", "something else", EndReason.UNKNOWN),
        ("stop", [2, 3], EndReason.UNKNOWN),
        ("stop", None, EndReason.UNKNOWN),
        ("abort", None, EndReason.ABORTED),
        ("a kind of next year", None, EndReason.UNKNOWN),
        (None, None, EndReason.UNKNOWN),
    ],
)
def test_each_finish_reason_has_a_meaning(kind: str | None, matched: object, reason: EndReason) -> None:
    assert end(kind, matched) is reason


def test_length_means_the_limit_that_was_sent() -> None:
    assert end("length", limit=StepLimit(5, "step")) is EndReason.STEP_LENGTH
    assert end("length", limit=StepLimit(5, "path")) is EndReason.PATH_LENGTH


def test_a_length_that_the_server_clipped_silently_is_the_end_of_the_path() -> None:
    assert end("length", generated=4, limit=StepLimit(5, "step")) is EndReason.PATH_LENGTH


@pytest.mark.parametrize(
    ("stop", "last", "sure"),
    [
        ("\n\n", "\n\n", True),
        ("\n\n", "\n", True),
        ("ки", "и", True),
        ("\n\n", ".\n\n", False),
        ("\n\n", "\n\n\n", False),
        ("\n\n", "", False),
        ("ки", "\ufffd", False),
    ],
)
def test_only_a_last_token_inside_the_stop_string_surely_ends_there(stop: str, last: str, *, sure: bool) -> None:
    assert surely_ends_at(stop, last) is sure


@pytest.mark.parametrize(
    ("decoded", "text", "overshoot"),
    [
        ("one\n\nNext", "one", "Next"),
        ("one\n\n", "one", ""),
        (" one\n\nNext", "one", "Next"),
        ("one\n\nNext", " one", "Next"),
        ("\n\nNext", "", "Next"),
        ("one\n\n\n\n", "one", "\n\n"),
        ("does not hold it", "does not", ""),
    ],
)
def test_the_overshoot_is_what_follows_the_stop_string(decoded: str, text: str, overshoot: str) -> None:
    assert overshoot_in(decoded, text, "\n\n") == overshoot


@given(
    text=st.text("ab\n", max_size=20), rest=st.text("ab\n", max_size=10), stop=st.sampled_from(["\n\n", "b\n", "ab"])
)
def test_text_stop_and_overshoot_make_the_decoded_text(text: str, rest: str, stop: str) -> None:
    decoded = text + stop + rest
    trimmed = decoded.partition(stop)[0]  # the server cuts at the first place
    assert trimmed + stop + overshoot_in(decoded, trimmed, stop) == decoded
