"""What `scripts/figures.py` counts."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.journal import RunEntry, ScoresEntry, StepEntry, StepsEntry

FILE = Path(__file__).parents[2] / "scripts" / "figures.py"


def load() -> Any:
    spec = spec_from_file_location("ets_client_figures", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # where its data classes look for it
    spec.loader.exec_module(module)
    return module


figures = load()


@given(st.sets(st.lists(st.integers(0, 2), max_size=6).map(tuple)))
def test_the_distinct_tokens_of_prompts_are_their_distinct_beginnings(prompts: set[tuple[int, ...]]) -> None:
    assert figures.distinct(prompts) == len({prompt[:end] for prompt in prompts for end in range(1, len(prompt) + 1)})


def step() -> StepEntry:
    return StepEntry([1, 2], "x", "x\n", "delimiter", "rid", generated=2)


def test_what_is_paid_for_again_in_a_later_session_is_counted() -> None:
    run = RunEntry(1, {})
    paid = figures.Paid.of(
        [
            run,
            StepsEntry(0, "r", 0, [step(), step()], {}),
            ScoresEntry(0, ["r.0"], [0.5]),
            run,
            StepsEntry(0, "r", 1, [step(), step()], {}),
            ScoresEntry(0, ["r.0", "r.1"], [0.5, None]),
            StepsEntry(1, "r", 0, [step()], {}),
        ]
    )
    assert (paid.steps, paid.scores, paid.twice) == ([2, 3], [1, 2], 2)
