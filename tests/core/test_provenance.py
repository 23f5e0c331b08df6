"""What is said to count is what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import InvalidRequestError, Profile, SamplingParams, SamplingSource
from ets_client._core.provenance import effective_sampling
from ets_client._core.settle import path_settings, settle, step_settings
from ets_client.profiles import CompletionPrompt, Steps
from tests.fakes import root, server_info

if TYPE_CHECKING:
    from ets_client import EffectiveSampling, Prefix

CALL, CLIENT, PROFILE, SERVER, SGLANG = SamplingSource
STEPS = Steps(delimiters=("\n\n",), max_step_tokens=50, max_path_tokens=120)
ROOT = root(range(100))
PARAMS = st.builds(
    SamplingParams,
    max_new_tokens=st.none() | st.integers(5, 300),
    min_new_tokens=st.none() | st.integers(0, 5),
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(1, 9),
    stop=st.none() | st.just("END"),
    ignore_eos=st.none() | st.booleans(),
    seed=st.none() | st.integers(0, 9),
)
KINDS = st.sampled_from(["expand", "generate"])


def profile(sampling: SamplingParams | None = None) -> Profile:
    return Profile(name="p", prompt=CompletionPrompt(), steps=STEPS, sampling=sampling or SamplingParams())


def effective(
    call: SamplingParams | None = None,
    client: SamplingParams | None = None,
    of_profile: SamplingParams | None = None,
    prefix: Prefix = ROOT,
    kind: Literal["expand", "generate"] = "expand",
    **info: Any,
) -> EffectiveSampling:
    nothing = SamplingParams()
    return effective_sampling(
        call or nothing, client or nothing, profile(of_profile), server_info(**info), prefix, kind
    )


@given(PARAMS, PARAMS, PARAMS, KINDS, st.integers(0, 119))
def test_what_is_said_to_count_is_what_is_sent(
    call: SamplingParams, client: SamplingParams, lowest: SamplingParams, kind: Any, depth: int
) -> None:
    path = ROOT.child(range(depth), "")
    found = effective(call, client, lowest, path, kind)
    settings = step_settings if kind == "expand" else path_settings
    sent, _ = settle(settings(profile(lowest), call.over(client)), path, server_info(), None)
    for name, value in sent.given().items():
        assert found[name].value == value
    for field in found:
        if field.name not in sent.given():
            assert field.source is SGLANG
    assert [field.name for field in found] == list(SamplingParams.model_fields)


@given(PARAMS, PARAMS, PARAMS)
def test_the_source_is_the_strongest_that_gave_the_field(
    call: SamplingParams, client: SamplingParams, lowest: SamplingParams
) -> None:
    found = effective(call, client, lowest)
    for name in ("temperature", "top_k", "stop", "ignore_eos", "seed"):
        of = [(CALL, call), (CLIENT, client), (PROFILE, lowest)]
        strongest = next((source for source, params in of if getattr(params, name) is not None), None)
        assert found[name].source is (strongest or (PROFILE if name == "stop" else SGLANG))


def test_a_step_ends_where_the_profile_says() -> None:
    found = effective()
    assert (found["stop"].value, found["stop"].source) == (("\n\n",), PROFILE)
    assert (found["max_new_tokens"].value, found["max_new_tokens"].source) == (50, PROFILE)
    assert effective(kind="generate")["stop"].value is None


@pytest.mark.parametrize(
    ("depth", "kind", "length", "source", "note"),
    [
        (0, "expand", 50, PROFILE, ""),
        (100, "expand", 20, PROFILE, "the room left in a path of 120"),
        (0, "generate", 120, PROFILE, "the room left in a path of 120"),
    ],
)
def test_a_length_says_what_limits_it(depth: int, kind: Any, length: int, source: SamplingSource, note: str) -> None:
    field = effective(prefix=ROOT.child(range(depth), ""), kind=kind)["max_new_tokens"]
    assert (field.value, field.source, field.note) == (length, source, note)


def test_a_length_that_the_server_has_no_room_for_is_the_servers() -> None:
    field = effective(SamplingParams(max_new_tokens=5000))["max_new_tokens"]
    assert (field.value, field.source, field.note) == (898, SERVER, "the room left in its context and cache")
    least = effective(SamplingParams(min_new_tokens=900), SamplingParams(max_new_tokens=900))["min_new_tokens"]
    assert (least.value, least.source, least.note) == (898, CALL, "no more than max_new_tokens")


def test_no_room_at_all_is_refused_as_the_call_would_be() -> None:
    with pytest.raises(InvalidRequestError, match="no room"):
        effective(prefix=ROOT.child(range(120), ""))


def test_what_the_server_prefers_counts_below_the_profile_and_above_sglang() -> None:
    preferred = {"temperature": 0.5, "top_p": 0.8, "sampling_seed": 3, "no_stop_trim": True}
    found = effective(of_profile=SamplingParams(temperature=0.7), preferred_sampling=preferred)
    assert (found["temperature"].value, found["temperature"].source) == (0.7, PROFILE)
    assert (found["top_p"].value, found["top_p"].source) == (0.8, SERVER)
    assert (found["seed"].value, found["seed"].source) == (3, SERVER)
    assert (found["no_stop_trim"].value, found["no_stop_trim"].source) == (True, SERVER)
    assert (found["min_p"].value, found["min_p"].source) == (0.0, SGLANG)


@pytest.mark.parametrize(
    ("given", "is_deterministic", "expected"),
    [
        (7, True, (7, CALL, "sibling i has seed + i")),
        (7, False, (7, CALL, "ignored: the server is not deterministic")),
        (None, True, (None, CLIENT, "drawn for each call")),
        (None, False, (None, SGLANG, "")),
    ],
)
def test_a_seed_says_whether_it_is_used(given: int | None, expected: Any, *, is_deterministic: bool) -> None:
    field = effective(SamplingParams(seed=given), is_deterministic=is_deterministic)["seed"]
    assert (field.value, field.source, field.note) == expected


def test_a_preferred_seed_gives_way_to_drawn_ones() -> None:
    field = effective(is_deterministic=True, preferred_sampling={"sampling_seed": 3})["seed"]
    assert (field.value, field.source, field.note) == (None, CLIENT, "drawn for each call")
