"""What a method sees of a tree, and what it decides: plain data, so that a decision can be recorded and made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

__all__ = ["Decision", "JsonValue", "Method", "NodeState", "NodeView", "TreeView"]

JsonValue = bool | int | float | str | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


class NodeState(StrEnum):
    """Whether a node can have children."""

    OPEN = "open"
    ENDED = "ended"  # it states an answer, or its text has ended
    SPENT = "spent"  # its path has no tokens left


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node of a tree, as a method sees it.

    Attributes:
        number: in order of creation: children of one decision in the order in which they were asked for, whenever they
            arrived. The root is 0.
        parent: number of the node above; -1 for the root.
        depth: steps above it.
        tokens: of its step; of the root: of the prompt.
        score: of its step, higher is better; None when it could not be scored. The root has 1.0, as published.
        text: of its step.
        state: whether it can have children.
        multiplicity: samples that came out as exactly this step; votes and width count them all.
    """

    number: int
    parent: int
    depth: int
    tokens: int
    score: float | None
    text: str = ""
    state: NodeState = NodeState.OPEN
    multiplicity: int = 1


@dataclass(frozen=True, slots=True)
class TreeView:
    """A tree at the moment of a decision.

    Attributes:
        nodes: all nodes, each at the place of its number.
        depth: the level to decide. Methods that know no levels look at all nodes.
        width: samples of a level at the beginning.
        given: children that nodes were given by earlier decisions, arrived or not; nodes without any are left out.
        lost: samples of each depth that never became nodes: dropped, or not scored.
        memory: what the method's last decision wants to know again; empty at first.
    """

    nodes: Sequence[NodeView]
    depth: int
    width: int
    given: Mapping[int, int] = field(default_factory=dict[int, int])
    lost: Mapping[int, int] = field(default_factory=dict[int, int])
    memory: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Decision:
    """Who gets children.

    Attributes:
        children: samples to draw now from each node, by number, each above 0, in the order in which to ask for them.
            Nodes of the level that are left out are pruned. Empty: the search is over.
        memory: what the next decision of this method must know; values that JSON can hold.
        notes: why, for the journal and the pages: kept nodes, clusters, the objective, which mends had an effect.
    """

    children: Mapping[int, int]
    memory: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    notes: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


class Method(Protocol):
    """A search method: a pure function from trees to decisions, with parameters."""

    @property
    def name(self) -> str:
        """What it is called, on the command line and in records."""
        ...

    def decide(self, view: TreeView) -> Decision:
        """Who of the tree gets how many children next.

        Args:
            view: the tree. Level methods are asked once a level, when all its nodes are there.
        """
        ...
