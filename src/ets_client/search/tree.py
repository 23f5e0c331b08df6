"""The tree that a search grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .methods.view import NodeState, NodeView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..branch import Branch
    from ..prefix import Prefix

__all__ = ["Node", "SearchTree"]


@dataclass(slots=True, eq=False)
class Node:
    """One node.

    Attributes:
        number: in the order in which the samples were asked for (without a level barrier: in which they came); the
            root is 0.
        id: ``r`` for the root; its parent's id, a point and its place among the parent's samples for others. It does
            not depend on what arrives when, so that a journal can name it.
        prefix: the path to it.
        branch: the sampled step that made it; None for the root.
        parent: the node above; None for the root.
        depth: steps above it.
        score: of its step, higher is better; None when there is none.
        answer: what its step states as the final answer, or None.
        state: whether it can have children.
        multiplicity: samples that came out as exactly this step.
        width: children that the search gave it; 0 until it decides and for a node that it pruned.
        score_failure: why it has no score.
        children: nodes below, in order of number.
    """

    number: int
    id: str
    prefix: Prefix
    branch: Branch | None = None
    parent: Node | None = None
    depth: int = 0
    score: float | None = None
    answer: str | None = None
    state: NodeState = NodeState.OPEN
    multiplicity: int = 1
    width: int = 0
    score_failure: str | None = None
    children: list[Node] = field(default_factory=list["Node"])

    @property
    def is_open(self) -> bool:
        """Whether it can be expanded: its step ended without ending the text or answering, and the path has room."""
        return self.state is NodeState.OPEN

    @property
    def text(self) -> str:
        """The text of its step, without the stop; of the root: the prompt."""
        return self.prefix.text if self.branch is None else self.branch.text

    def path(self) -> list[Node]:
        """The nodes from the root to this one."""
        nodes: list[Node] = [self]
        while nodes[-1].parent is not None:
            nodes.append(nodes[-1].parent)
        return nodes[::-1]

    def step_scores(self) -> list[float]:
        """Scores of the steps from the first to this one; steps without a score are left out."""
        return [node.score for node in self.path()[1:] if node.score is not None]

    def view(self) -> NodeView:
        """This node as a method sees it."""
        score = 1.0 if self.branch is None else self.score  # the root has 1.0, as published
        tokens = len(self.prefix.step_token_ids)
        parent = -1 if self.parent is None else self.parent.number
        text = "" if self.branch is None else self.branch.text
        return NodeView(self.number, parent, self.depth, tokens, score, text, self.state, self.multiplicity)


class SearchTree:
    """All nodes of one search."""

    def __init__(self, root: Prefix) -> None:
        self.root = Node(0, "r", root)
        self._nodes = [self.root]
        self._levels: list[list[Node]] = [[self.root]]
        self._views = [self.root.view()]

    def add(
        self,
        parent: Node,
        branch: Branch,
        score: float | None = None,
        answer: str | None = None,
        *,
        place: int | None = None,
        state: NodeState | None = None,
        multiplicity: int = 1,
        score_failure: str | None = None,
    ) -> Node:
        """Hang a sampled step under a node.

        Args:
            parent: the node that was expanded.
            branch: the step.
            score: of the step, or None.
            answer: what it states as the final answer.
            place: among the parent's samples; None for the next.
            state: whether it can have children; None judges by the step's end and the answer.
            multiplicity: samples that came out as exactly this step.
            score_failure: why there is no score.
        """
        if state is None:
            state = NodeState.OPEN if branch.is_open and answer is None else NodeState.ENDED
        place = len(parent.children) if place is None else place
        depth = parent.depth + 1
        node = Node(
            len(self._nodes), f"{parent.id}.{place}", branch.prefix, branch, parent, depth, score, answer, state,
            multiplicity, score_failure=score_failure,
        )  # fmt: skip
        parent.children.append(node)
        self._nodes.append(node)
        self._views.append(node.view())
        if depth == len(self._levels):
            self._levels.append([])
        self._levels[depth].append(node)
        return node

    def count_again(self, node: Node) -> None:
        """One more sample came out as exactly this step."""
        node.multiplicity += 1
        self._views[node.number] = node.view()

    def level(self, depth: int) -> list[Node]:
        """The nodes of one depth, in order of number."""
        return list(self._levels[depth]) if depth < len(self._levels) else []

    def answered(self) -> list[Node]:
        """The nodes that state an answer, in order of number."""
        return [node for node in self._nodes if node.answer is not None]

    def views(self) -> Sequence[NodeView]:
        """All nodes as a method sees them, now."""
        return tuple(self._views)

    def __getitem__(self, number: int) -> Node:
        return self._nodes[number]

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)
