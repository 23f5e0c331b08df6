from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.children import TreeRules, merge
from ets_client.search.methods import NodeState
from tests.search.journal.lines import step

SAMPLES = st.lists(st.tuples(st.sampled_from(["a", "b", "ab", ""]), st.booleans()))


def made(samples: list[tuple[str, bool]]) -> list[object]:
    return [step(text, failed="dropped" if failed else None) for text, failed in samples]


@given(SAMPLES)
def test_samples_with_the_same_tokens_become_one_node_where_the_first_stands(samples: list[tuple[str, bool]]) -> None:
    merged = merge(made(samples))  # type: ignore[arg-type]
    kept = [text for text, failed in samples if not failed]
    assert [(samples[first][0], count) for first, count in merged] == [
        (text, kept.count(text)) for text in dict.fromkeys(kept)
    ]
    assert all(samples.index((samples[first][0], False)) == first for first, _ in merged)


@given(SAMPLES, SAMPLES)
def test_later_samples_leave_nodes_where_they_are(
    before: list[tuple[str, bool]], later: list[tuple[str, bool]]
) -> None:
    old, new = merge(made(before)), merge(made(before + later))  # type: ignore[arg-type]
    assert [first for first, _ in new[: len(old)]] == [first for first, _ in old]
    assert all(now >= then for (_, then), (_, now) in zip(old, new, strict=False))


RULES = TreeRules(max_path_tokens=20, answer=r"answer is (\d+)", depth=3, window_tokens=100)


@pytest.mark.parametrize(
    ("sample", "path_tokens", "depth", "prompt", "state"),
    [
        (step("so"), 19, 2, 50, NodeState.OPEN),
        (step("so"), 20, 2, 50, NodeState.SPENT),
        (step("so"), 19, 3, 50, NodeState.SPENT),
        (step("so"), 19, 2, 78, NodeState.OPEN),
        (step("so"), 19, 2, 79, NodeState.SPENT),
        (step("so", end="path_length"), 5, 1, 50, NodeState.SPENT),
        (step("so", end="eos"), 20, 3, 50, NodeState.ENDED),
        (step("so", end="step_length"), 5, 1, 50, NodeState.OPEN),
        (step("so", end="unknown"), 5, 1, 50, NodeState.ENDED),
        (step("the answer is 4"), 20, 3, 50, NodeState.ENDED),
        (step("the answer is 4", end="path_length"), 20, 3, 50, NodeState.ENDED),
    ],
)
def test_a_node_can_have_children_when_neither_text_nor_room_has_ended(
    sample: object, path_tokens: int, depth: int, prompt: int, state: NodeState
) -> None:
    assert RULES.state(sample, path_tokens, depth=depth, prompt_tokens=prompt) is state  # type: ignore[arg-type]


def test_answers_are_looked_for_when_there_is_a_pattern_and_in_the_step_alone() -> None:
    assert RULES.answer_in(step("the answer is 4")) == "4"
    assert RULES.answer_in(step("is 4")) is None
    assert TreeRules(max_path_tokens=1).answer_in(step("the answer is 4")) is None
