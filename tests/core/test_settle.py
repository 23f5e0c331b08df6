from __future__ import annotations

import pytest

from ets_client import InvalidRequestError, Profile, SamplingParams
from ets_client._core.limits import StepLimit
from ets_client._core.settle import path_settings, settle, step_settings
from ets_client.profiles import CompletionPrompt, Steps
from tests.fakes import root, server_info

PROFILE = Profile(
    name="p",
    prompt=CompletionPrompt(),
    steps=Steps(delimiters=("\n\n",), max_step_tokens=50, max_path_tokens=120),
    sampling=SamplingParams(temperature=0.7, top_p=0.9),
)
ROOT = root(range(100))


def test_the_call_wins_over_the_profile_field_by_field() -> None:
    sampling = step_settings(PROFILE, SamplingParams(temperature=0.1)).sampling
    assert (sampling.temperature, sampling.top_p) == (0.1, 0.9)


def test_a_step_ends_at_the_profiles_delimiters_unless_the_call_gives_its_own() -> None:
    assert step_settings(PROFILE, SamplingParams()).sampling.stop == ("\n\n",)
    assert step_settings(PROFILE, SamplingParams(stop="END")).sampling.stop == ("END",)


def test_a_continuation_runs_through_delimiters() -> None:
    assert path_settings(PROFILE, SamplingParams()).sampling.stop is None


def test_a_step_is_as_long_as_the_profile_says() -> None:
    sampling, limit = settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(), None)
    assert (sampling.max_new_tokens, limit) == (50, StepLimit(50, "step"))


def test_the_last_step_is_cut_to_the_rest_of_the_path() -> None:
    deep = ROOT.child(range(100), "")
    sampling, limit = settle(step_settings(PROFILE, SamplingParams()), deep, server_info(), None)
    assert (sampling.max_new_tokens, limit) == (20, StepLimit(20, "path"))


def test_a_continuation_runs_to_the_end_of_the_path() -> None:
    sampling, limit = settle(path_settings(PROFILE, SamplingParams()), ROOT, server_info(), None)
    assert (sampling.max_new_tokens, limit.bound) == (120, "path")


def test_a_length_given_by_the_caller_overrides_step_and_path() -> None:
    deep = ROOT.child(range(119), "")
    for settings in (step_settings, path_settings):
        sampling, limit = settle(settings(PROFILE, SamplingParams(max_new_tokens=200)), deep, server_info(), None)
        assert (sampling.max_new_tokens, limit) == (200, StepLimit(200, "step"))


def test_a_length_in_the_profiles_sampling_is_a_steps_length_and_leaves_the_path() -> None:
    profile = PROFILE.model_copy(update={"sampling": SamplingParams(max_new_tokens=30)})
    settings = step_settings(profile, SamplingParams())
    assert (settings.step_tokens, settings.path_tokens) == (30, 120)


@pytest.mark.parametrize("limits", [{"context_length": 140}, {"max_total_tokens": 140}])
def test_the_smaller_of_context_and_cache_bounds_a_step(limits: dict[str, int]) -> None:
    sampling, limit = settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(**limits), None)
    assert (sampling.max_new_tokens, limit.bound) == (38, "path")


def test_a_path_without_room_is_refused_with_its_length() -> None:
    full = ROOT.child(range(120), "")
    with pytest.raises(InvalidRequestError, match="220 tokens, 120 after the root"):
        settle(step_settings(PROFILE, SamplingParams()), full, server_info(), None)


def test_a_window_without_room_is_refused_and_one_token_is_room() -> None:
    with pytest.raises(InvalidRequestError, match=r"allows 120 tokens .* the server 102 in all"):
        settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(context_length=102), None)
    _, limit = settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(context_length=103), None)
    assert limit == StepLimit(1, "path")


def test_a_prompt_longer_than_the_server_takes_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at most 99"):
        settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(max_input_tokens=100), None)


def test_the_least_length_is_cut_with_the_most() -> None:
    deep = ROOT.child(range(100), "")
    sampling, _ = settle(step_settings(PROFILE, SamplingParams(min_new_tokens=30)), deep, server_info(), None)
    assert (sampling.min_new_tokens, sampling.max_new_tokens) == (20, 20)


def test_a_spare_seed_is_used_only_when_none_was_given() -> None:
    given, _ = settle(step_settings(PROFILE, SamplingParams(seed=0)), ROOT, server_info(), 9)
    spare, _ = settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(), 9)
    none, _ = settle(step_settings(PROFILE, SamplingParams()), ROOT, server_info(), None)
    assert (given.seed, spare.seed, none.seed) == (0, 9, None)
