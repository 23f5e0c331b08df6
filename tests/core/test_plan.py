from __future__ import annotations

import pytest

from ets_client._core.plan import plan_expand


@pytest.mark.parametrize(("n", "length", "warm"), [(1, 500, 0), (8, 500, 500), (8, 500, 499), (8, 1, 0)])
def test_one_sample_or_a_warm_prefix_needs_no_prefill(n: int, length: int, warm: int) -> None:
    plan = plan_expand(n, length, warm)
    assert not plan.warms_first
    assert "one" in plan.reason


def test_a_cold_part_is_computed_alone_before_several_samples() -> None:
    plan = plan_expand(2, 500, 498)
    assert plan.warms_first
    assert plan.reason == "prefill 2 cold tokens once, then one batch of 2"


def test_sglangs_own_n_needs_no_prefill_of_ours() -> None:
    plan = plan_expand(8, 500, 0, "server_n")
    assert not plan.warms_first
    assert plan.reason == "one request with n = 8: the server prefills, then samples"
    assert plan_expand(1, 500, 0, "server_n").reason == "one sample"


def test_a_batch_through_a_router_is_planned_like_another_and_says_what_warmth_means_there() -> None:
    cold, warm = plan_expand(8, 500, 0, "router"), plan_expand(8, 500, 500, "router")
    assert (cold.warms_first, warm.warms_first) == (True, False)
    assert cold.reason == "prefill 500 cold tokens once, then one batch of 8 through the router"
    assert warm.reason == "one batch of 8 through the router: the prefix is warm where its tree was sent before"
