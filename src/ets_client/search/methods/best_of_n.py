"""Best of n: n paths that nobody prunes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .kv import held_kv_tokens, published_kv_tokens
from .view import Decision, NodeState

if TYPE_CHECKING:
    from .view import JsonValue, TreeView

__all__ = ["BestOfN"]


@dataclass(frozen=True, slots=True)
class BestOfN:
    """``width`` paths from the root, each to its end, step by step; scores count in the vote alone.

    A step that several samples share goes on with as many. A path that was lost stays lost.
    """

    @property
    def name(self) -> str:
        """``best_of_n``."""
        return "best_of_n"

    def decide(self, view: TreeView) -> Decision:
        """One more step for each open path.

        Args:
            view: the tree.
        """
        level = [node for node in view.nodes if node.depth == view.depth and node.state is NodeState.OPEN]
        children = {node.number: node.multiplicity if node.depth else view.width for node in level}
        kv: dict[str, JsonValue] = {
            "published": published_kv_tokens(view.nodes, children),
            "held": held_kv_tokens(view.nodes, children),
        }
        return Decision(children, notes={"kv": kv})

    def describe(self) -> list[str]:
        """What it does, a line each."""
        return ["best of n: as many independent paths as the width, none pruned"]
