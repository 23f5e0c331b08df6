from __future__ import annotations

import pytest

from ets_client.search.children import TreeRules, identity
from ets_client.search.methods import NodeState
from tests.search.journal.lines import step


def test_samples_are_one_node_when_their_tokens_are_the_same() -> None:
    assert identity(step("so")) == identity(step("so", rid="another", end="eos", logprob=-1.0))
    assert identity(step("so")) != identity(step("so", ids=[7]))


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
    answer = RULES.answer_in(sample)  # type: ignore[arg-type]
    assert RULES.state(sample, answer, path_tokens, depth=depth, prompt_tokens=prompt) is state  # type: ignore[arg-type]


def test_answers_are_looked_for_when_there_is_a_pattern_and_in_the_step_alone() -> None:
    assert RULES.answer_in(step("the answer is 4")) == "4"
    assert RULES.answer_in(step("is 4")) is None
    assert TreeRules(max_path_tokens=1).answer_in(step("the answer is 4")) is None
