from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.plan import Shape, plan_expand


def test_on_a_warm_prefix_all_go_together() -> None:
    assert plan_expand(8, 0).first is None
    assert plan_expand(8, 0).reason == "one batch of 8: the prefix is warm"
    assert plan_expand(1, 0).reason == "one sample"


@pytest.mark.parametrize(
    ("n", "reason"),
    [
        (1, "one sample, which computes 499 cold tokens"),
        (2, "the first sample computes 499 cold tokens, then the other one"),
        (8, "the first sample computes 499 cold tokens, then one batch of 7"),
    ],
)
def test_on_a_cold_prefix_the_first_sample_goes_alone(n: int, reason: str) -> None:
    plan = plan_expand(n, 499)
    assert (plan.first, plan.reason) == ("leader", reason)


def test_sglangs_own_n_needs_nothing_before_it() -> None:
    plan = plan_expand(8, 500, "server_n")
    assert (plan.first, plan.reason) == (None, "one request with n = 8: the server prefills, then samples")
    assert plan_expand(1, 500, "server_n") == plan_expand(1, 500)


def test_a_router_is_sent_a_prefill_and_no_stream() -> None:
    cold, warm = plan_expand(8, 500, "router"), plan_expand(8, 0, "router")
    assert (cold.first, warm.first) == ("prefill", None)
    assert cold.reason == "prefill 500 cold tokens once, then one batch of 8 through the router"
    assert warm.reason == "one batch of 8 through the router: the prefix is warm where its tree was sent before"
    assert plan_expand(1, 500, "router").reason == "one sample"


@given(st.integers(1, 300), st.integers(0, 5000), st.sampled_from(["batch", "router"]))
def test_several_samples_are_never_sent_together_on_what_is_cold(n: int, cold: int, shape: Shape) -> None:
    plan = plan_expand(n, cold, shape)
    assert (plan.first is None) == (cold == 0 or (n == 1 and shape == "router"))
