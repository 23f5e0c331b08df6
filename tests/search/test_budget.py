"""What searches may cost, and what they have cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import ConfigurationError, Usage
from ets_client.search import Budget, kv_bytes_per_token
from ets_client.search.budget import Spending

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("limit", ["tokens", "expands", "seconds", "kv_byte_seconds"])
def test_a_limit_that_is_not_above_0_is_refused(limit: str) -> None:
    with pytest.raises(ConfigurationError, match=f"budget.{limit} = 0: above 0"):
        Budget(**{limit: 0})


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        (Budget(), None),
        (Budget(tokens=7), "tokens"),
        (Budget(tokens=8), None),
        (Budget(expands=2), "expands"),
        (Budget(expands=3), None),
        (Budget(seconds=5.0), "seconds"),
        (Budget(seconds=5.1), None),
        (Budget(kv_byte_seconds=400.0), "kv_byte_seconds"),
        (Budget(kv_byte_seconds=401.0), None),
    ],
)
def test_the_limit_that_is_reached_is_named(budget: Budget, why: str | None) -> None:
    spent = Spending(10.0)
    spent.expanded(Usage(5, 3, 7), expands=2)
    spent.hold(20, 13.0)  # nothing was held before
    spent.hold(0, 15.0)
    assert spent.kv_token_seconds == 40.0
    assert spent.used_up(budget, 15.0, 10.0) == why


def test_bytes_count_only_where_their_number_is_known() -> None:
    spent = Spending(0.0)
    spent.hold(20, 0.0)
    spent.hold(0, 100.0)
    assert spent.used_up(Budget(kv_byte_seconds=1.0), 100.0, None) is None


def test_a_run_has_spent_what_its_searches_have() -> None:
    run = Spending(0.0)
    for _ in range(2):
        one = Spending(0.0, whole=run)
        one.expanded(Usage(5, 3, 7))
        one.scored(Usage(9))
        one.hold(3, 1.0)
        one.hold(0, 3.0)
    assert (run.expands, run.usage, run.scoring) == (2, Usage(10, 6, 14), Usage(18))
    assert run.kv_token_seconds == 12.0


LLAMA = {"num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 2048}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LLAMA, 32768.0),  # Llama-3.2-1B at 16 bits
        ({**LLAMA, "torch_dtype": "float32"}, 65536.0),
        ({**LLAMA, "head_dim": 128}, 65536.0),
        ({"text_config": LLAMA}, 32768.0),
        (
            {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096},
            524288.0,
        ),  # Llemma-7B: as many heads
        ({}, None),
        ([], None),
    ],
)
def test_the_size_of_a_token_is_in_the_models_config(tmp_path: Path, config: Any, expected: float | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert kv_bytes_per_token(tmp_path) == expected


def test_a_model_that_is_not_here_has_no_known_size(tmp_path: Path) -> None:
    assert kv_bytes_per_token("meta-llama/Llama-3.2-1B") is None
    (tmp_path / "config.json").write_text("{")
    assert kv_bytes_per_token(tmp_path) is None
