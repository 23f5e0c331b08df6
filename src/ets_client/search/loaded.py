"""A run read back from its folder, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .methods.view import NodeState

__all__ = ["LoadedDecision", "LoadedNode", "LoadedQuestion", "LoadedRun"]


@dataclass(frozen=True, slots=True)
class LoadedNode:
    """A node with the request that made it.

    Attributes:
        id: ``r`` for the root; its parent's id, a point and its place among the parent's samples for others.
        number: in order of creation.
        parent: the parent's id; None for the root.
        depth: steps above it.
        token_ids: of its step; of the root: of the prompt.
        text: of its step, stop left out; of the root: of the prompt.
        state: whether it can have children.
        end: why its step ended; None for the root.
        score: of its step, or None.
        score_failure: why it has none.
        answer: what its step states.
        multiplicity: samples that came out as exactly this step.
        children: ids of the nodes below.
        given: children that it was given; 0: pruned, or not decided.
        usage: tokens of this sample on the policy.
        rid: of the request.
        request: what was sent for it: the sampling fields with this sample's own seed, and ``plan``; of a step that was
            continued also ``pieces``, how many requests made it, each sent with the tokens of those before.
        logprob: mean log-probability of its tokens, or None.
        at: seconds after the run's begin at which it arrived; 0 for the root.
        full_text: of all its tokens, stop included; of the root: of the prompt.
    """

    id: str
    number: int
    parent: str | None
    depth: int
    token_ids: tuple[int, ...]
    text: str
    state: NodeState
    end: str | None
    score: float | None
    score_failure: str | None
    answer: str | None
    multiplicity: int
    children: tuple[str, ...]
    given: int
    usage: Usage
    rid: str
    request: Mapping[str, Any]
    logprob: float | None
    at: float
    full_text: str


@dataclass(frozen=True)
class LoadedDecision:
    """A decision of the method, as recorded: turn, level, samples by node id, notes."""

    turn: int
    depth: int
    children: Mapping[str, int]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class LoadedQuestion:
    """A search of one question.

    Attributes:
        number: in the run.
        problem: its text.
        expected: the right answer, when known.
        answer: the winner of the vote.
        why: why it ended; None when it has not.
        seconds: it took; of one that has not ended, while samples were under way.
        nodes: by id, in order of creation.
        decisions: in order.
        warm_usage: tokens of requests that only warmed a prefix.
        scoring_usage: tokens on the reward server.
        unused_usage: tokens of samples that are no nodes of their own: those that came out as one that was there, and
            those that failed or were dropped.
    """

    number: int
    problem: str
    expected: str | None
    answer: str | None
    why: str | None
    seconds: float
    nodes: Mapping[str, LoadedNode]
    decisions: tuple[LoadedDecision, ...]
    warm_usage: Usage
    scoring_usage: Usage
    unused_usage: Usage = Usage()  # noqa: RUF009 - frozen

    @property
    def usage(self) -> Usage:
        """All tokens on the policy."""
        return sum((node.usage for node in self.nodes.values()), start=self.warm_usage + self.unused_usage)

    def path(self, node: LoadedNode) -> list[LoadedNode]:
        """The nodes from the root to this one."""
        nodes = [node]
        while nodes[-1].parent is not None:
            nodes.append(self.nodes[nodes[-1].parent])
        return nodes[::-1]

    def step_scores(self, node: LoadedNode) -> list[float | None]:
        """Scores of the steps from the first to this node's."""
        return [each.score for each in self.path(node)[1:]]

    def answered(self) -> list[LoadedNode]:
        """The nodes that state an answer, in order of creation."""
        return [node for node in self.nodes.values() if node.answer is not None]


@dataclass(frozen=True)
class LoadedRun:
    """All that a run's folder tells.

    Attributes:
        manifest: what ran, as it began.
        questions: by number.
        cut: lines at the journal's end that were torn or damaged and left out.
        sessions: the manifest of each session, in order; the first is ``manifest``.
    """

    manifest: Mapping[str, Any]
    questions: Mapping[int, LoadedQuestion]
    cut: int
    sessions: tuple[Mapping[str, Any], ...] = ()
