from __future__ import annotations

import pytest

from ets_client import SamplingParams, UnsupportedError
from ets_client._core.support import check_shape, require

SEEDED = SamplingParams(seed=3)


def test_a_batch_carries_everything() -> None:
    check_shape("batch", SamplingParams(seed=1, logit_bias={1: 1.0}, stop_regex="a"), 8)


@pytest.mark.parametrize("shape", ["server_n", "router"])
def test_one_sampling_for_all_samples_has_one_seed(shape: str) -> None:
    check_shape(shape, SEEDED, 1)  # type: ignore[arg-type]
    check_shape(shape, SamplingParams(temperature=0.5), 8)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="8 equal samples") as caught:
        check_shape(shape, SEEDED, 8)  # type: ignore[arg-type]
    assert caught.value.feature == "sampling.seed with n = 8"


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(logit_bias={1: 1.0}),
        SamplingParams(stop_regex="a"),
        SamplingParams(spaces_between_special_tokens=True),
    ],
)
def test_a_field_that_the_router_would_drop_is_refused_by_its_name(sampling: SamplingParams) -> None:
    check_shape("server_n", sampling, 2)
    with pytest.raises(UnsupportedError) as caught:
        check_shape("router", sampling, 1)
    (field,) = sampling.given()
    assert caught.value.feature == f"sampling.{field}"


def test_a_call_without_an_answer_is_refused_with_the_reason() -> None:
    require(True, "loads()", "never")
    with pytest.raises(UnsupportedError, match=r"loads\(\) is not possible here: it is a router") as caught:
        require(False, "loads()", "it is a router")
    assert (caught.value.feature, caught.value.reason) == ("loads()", "it is a router")
