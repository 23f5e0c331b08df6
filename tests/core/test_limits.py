from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.limits import StepLimit, step_limit


def test_a_step_that_fits_is_bound_by_its_own_length() -> None:
    assert step_limit(10, 11, 50, 63) == StepLimit(10, "step")


def test_a_step_longer_than_the_rest_of_the_path_is_bound_by_the_path() -> None:
    assert step_limit(10, 9, 50, 1000) == StepLimit(9, "path")


def test_a_step_that_ends_with_the_path_is_bound_by_the_path() -> None:
    assert step_limit(10, 10, 50, 1000) == StepLimit(10, "path")
    assert step_limit(10, None, 50, 62) == StepLimit(10, "path")


def test_a_step_without_any_other_bound_has_its_own_length() -> None:
    assert step_limit(10, None, 50, None) == StepLimit(10, "step")


def test_two_tokens_of_the_window_are_the_servers() -> None:
    assert step_limit(10, None, 50, 61) == StepLimit(9, "path")


def test_no_room_is_no_positive_number() -> None:
    assert step_limit(10, None, 60, 61).tokens < 1
    assert step_limit(10, 0, 1, 1000).tokens == 0


@given(
    step=st.integers(1, 5000),
    room=st.none() | st.integers(-100, 5000),
    prompt=st.integers(1, 5000),
    window=st.integers(1, 5000),
)
def test_the_limit_never_passes_any_bound(step: int, room: int | None, prompt: int, window: int) -> None:
    limit = step_limit(step, room, prompt, window)
    assert limit.tokens <= step
    assert room is None or limit.tokens <= room
    assert prompt + limit.tokens <= window - 2
    has_room_left = prompt + limit.tokens < window - 2 and (room is None or limit.tokens < room)
    assert (limit.bound == "step") == has_room_left


def test_without_a_window_the_step_and_the_path_alone_bound_it() -> None:
    assert step_limit(10, None, 50, None) == StepLimit(10, "step")
    assert step_limit(10, 4, 50, None) == StepLimit(4, "path")


def test_a_step_without_a_length_goes_to_the_end_of_the_path() -> None:
    assert step_limit(None, 30, 50, 1000) == StepLimit(30, "path")
    assert step_limit(None, None, 50, 62) == StepLimit(10, "path")
