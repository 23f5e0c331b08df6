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
