"""The tree that a search grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..branch import Branch
    from ..prefix import Prefix

__all__ = ["Node", "SearchTree"]


@dataclass(slots=True)
class Node:
    """One node.

    Attributes:
        number: in order of arrival; the root is 0.
        prefix: the path to it.
        branch: the sampled step that made it; None for the root.
        parent: the node above; None for the root.
        score: of its step, higher is better.
        answer: what its step states as the final answer, or None.
        width: children that the search gave it; 0 until it decides and for a node that it pruned.
        children: nodes below, in order of arrival.
    """

    number: int
    prefix: Prefix
    branch: Branch | None = None
    parent: Node | None = None
    score: float = 0.0
    answer: str | None = None
    width: int = 0
    children: list[Node] = field(default_factory=list["Node"])

    @property
    def depth(self) -> int:
        """Steps above it."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def is_open(self) -> bool:
        """Whether it can be expanded: it is the root, or its step ended without ending the text or answering."""
        return self.branch is None or (self.branch.is_open and self.answer is None)

    def step_scores(self) -> list[float]:
        """Scores of the steps from the first to this one."""
        above = [] if self.parent is None else self.parent.step_scores()
        return above if self.branch is None else [*above, self.score]


class SearchTree:
    """All nodes of one search."""

    def __init__(self, root: Prefix) -> None:
        self.root = Node(0, root)
        self._nodes = [self.root]

    def add(self, parent: Node, branch: Branch, score: float, answer: str | None) -> Node:
        """Hang a sampled step under a node."""
        node = Node(len(self._nodes), branch.prefix, branch, parent, score, answer)
        parent.children.append(node)
        self._nodes.append(node)
        return node

    def level(self, depth: int) -> list[Node]:
        """The nodes of one depth, in order of arrival."""
        return [node for node in self._nodes if node.depth == depth]

    def answered(self) -> list[Node]:
        """The nodes that state an answer, in order of arrival."""
        return [node for node in self._nodes if node.answer is not None]

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)
