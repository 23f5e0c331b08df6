"""A sample that has arrived and is not yet a node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .children import identity

if TYPE_CHECKING:
    from ..branch import Branch
    from .children import TreeRules
    from .journal import StepEntry
    from .tree import Node

__all__ = ["Arrival"]


@dataclass(slots=True, eq=False)
class Arrival:
    """A sample.

    Attributes:
        parent: the node that was expanded.
        place: among all samples ever asked of the parent.
        step: as the journal has it.
        branch: the step, or None when there is none; then ``step.failed`` says why.
        score: of the step; None until it is scored, and when it cannot be.
        score_failure: why it cannot.
    """

    parent: Node
    place: int
    step: StepEntry
    branch: Branch | None
    score: float | None = None
    score_failure: str | None = None
    _same: tuple[int, tuple[int, ...]] | None = field(default=None, init=False, repr=False)
    _answers: tuple[str | None] | None = field(default=None, init=False, repr=False)

    @property
    def id(self) -> str:
        """The id of its node, when it becomes one."""
        return f"{self.parent.id}.{self.place}"

    @property
    def same(self) -> tuple[int, tuple[int, ...]]:
        """Equal for samples of one parent that came out as the same step."""
        if self._same is None:
            self._same = self.parent.number, identity(self.step)
        return self._same

    def answer(self, rules: TreeRules) -> str | None:
        """What its step states as the answer by the rules of its tree; looked for once."""
        if self._answers is None:
            self._answers = (rules.answer_in(self.step),)
        return self._answers[0]
