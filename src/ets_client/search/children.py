"""What samples become in a tree: one rule for the search that draws them and for whoever reads its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..branch import EndReason
from .answers import find_answer
from .methods.view import NodeState

if TYPE_CHECKING:
    from .journal.entries import StepEntry

__all__ = ["TreeRules", "identity"]

_OPEN = {EndReason.DELIMITER, EndReason.STOP_TOKEN, EndReason.STOP_REGEX, EndReason.STEP_LENGTH}  # as Branch.is_open


def identity(step: StepEntry) -> tuple[int, ...]:
    """Equal for samples of one parent that are one node, wherever and whenever they were drawn: their token ids."""
    return tuple(step.ids)


class TreeRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes nodes of samples, of a whole run; its manifest has it.

    Attributes:
        max_path_tokens: a path of so many tokens, the prompt not counted, cannot go on.
        answer: pattern of the answer in a step's text, with a group around it; None when none is looked for.
        by_level: whether a decision waits for all samples of the one before. Nodes are then numbered in the order in
            which they were asked for, otherwise in that in which they came.
        depth: a path of so many steps cannot go on; None for no limit.
        window_tokens: prompt and output that the server holds for one request; None when it is not known.
    """

    max_path_tokens: int
    answer: str | None = None
    by_level: bool = True
    depth: int | None = None
    window_tokens: int | None = None

    def answer_in(self, step: StepEntry) -> str | None:
        """What the step states as the answer. Only its own text counts."""
        return None if self.answer is None else find_answer(self.answer, step.text)

    def state(
        self, step: StepEntry, answer: str | None, path_tokens: int, *, depth: int = 0, prompt_tokens: int = 0
    ) -> NodeState:
        """Whether the step's node can have children.

        Args:
            step: the node's.
            answer: what it states (:meth:`answer_in`).
            path_tokens: of its path, this step counted, the prompt not.
            depth: steps of its path, this one counted.
            prompt_tokens: of the prompt.
        """
        if answer is not None:
            return NodeState.ENDED
        if step.end == EndReason.PATH_LENGTH:
            return NodeState.SPENT
        if step.end not in _OPEN:
            return NodeState.ENDED
        is_long = path_tokens >= self.max_path_tokens or (self.depth is not None and depth >= self.depth)
        # SGLang keeps two tokens of the window back (managers/tp_worker.py), and a step has at least one.
        is_full = self.window_tokens is not None and prompt_tokens + path_tokens + 3 > self.window_tokens
        return NodeState.SPENT if is_long or is_full else NodeState.OPEN
