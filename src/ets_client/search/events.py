"""What a running search tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .driver import SearchResult
    from .journal import EndEntry
    from .questions import Question
    from .tree import Node, SearchTree

__all__ = [
    "LevelEnded",
    "NodeAdded",
    "SearchEnded",
    "SearchEndedBefore",
    "SearchEvent",
    "SearchStarted",
    "WidthAllocated",
]


@dataclass(frozen=True, slots=True)
class SearchStarted:
    """A question's root is made."""

    number: int
    question: Question
    tree: SearchTree


@dataclass(frozen=True, slots=True)
class WidthAllocated:
    """A level's nodes have got their widths; those without are pruned."""

    number: int
    depth: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NodeAdded:
    """A step has arrived."""

    number: int
    node: Node


@dataclass(frozen=True, slots=True)
class LevelEnded:
    """All steps of a level have arrived."""

    number: int
    depth: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """A question is done."""

    number: int
    result: SearchResult


@dataclass(frozen=True, slots=True)
class SearchEndedBefore:
    """A question was done in an earlier session of the run; it is not searched again."""

    number: int
    question: Question
    ended: EndEntry


SearchEvent = SearchStarted | WidthAllocated | NodeAdded | LevelEnded | SearchEnded | SearchEndedBefore
