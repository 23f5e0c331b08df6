"""Tokens whose keys and values a search needs: as the published code counts them, and as a server holds them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .view import NodeView

__all__ = ["held_kv_tokens", "published_kv_tokens"]

_PUBLISHED_ROOT = 2


def published_kv_tokens(nodes: Sequence[NodeView], candidates: Iterable[int]) -> int:
    """ETS's own figure of a level (``get_kv_size``), which its paper's ratios are made of.

    It is taken before pruning, so what a decision saves shows a level later; finished answers are left out; the prompt
    counts 2 tokens, however long it is. A candidate that is named twice counts twice.

    Args:
        nodes: the tree's, each at the place of its number.
        candidates: numbers of the nodes that the level decides on.
    """
    named = Counter(candidates)
    above: set[int] = set()
    for number in named:
        parent = nodes[number].parent
        while parent >= 0 and parent not in above:
            above.add(parent)
            parent = nodes[parent].parent
    tokens = sum(_published(nodes[number]) * times for number, times in named.items())
    return tokens + sum(_published(nodes[number]) for number in above)


def held_kv_tokens(nodes: Sequence[NodeView], kept: Iterable[int]) -> int:
    """Tokens on the paths to some nodes, each once, the prompt included: what a server must hold to go on from them.

    Args:
        nodes: the tree's, each at the place of its number.
        kept: numbers of the nodes that get children, after the decision.
    """
    held: set[int] = set()
    for number in kept:
        at = number
        while at >= 0 and at not in held:
            held.add(at)
            at = nodes[at].parent
    return sum(nodes[number].tokens for number in held)


def _published(node: NodeView) -> int:
    return node.tokens if node.parent >= 0 else _PUBLISHED_ROOT
