"""A tree and the rules by which samples become its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .methods import NodeState, TreeView
from .tree import SearchTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..prefix import Prefix
    from .arrivals import Arrival
    from .children import TreeRules
    from .journal import DecisionEntry
    from .methods import Decision, JsonValue
    from .tree import Node

__all__ = ["Growth", "grouped"]


class Growth:
    """The state of one search: its tree, what was decided, and what was lost. Pure.

    Attributes:
        tree: the nodes.
        turn: decisions so far.
        asked: samples asked for at each depth.
        samples: samples that have arrived.
        lost: samples of each depth that never became nodes.
        met_depth: whether a path that could go on has as many steps as a path may have.
    """

    def __init__(self, root: Prefix, rules: TreeRules, width: int) -> None:
        """Begin.

        Args:
            root: the prompt.
            rules: what makes nodes of samples.
            width: samples of a level at the beginning.
        """
        self.tree = SearchTree(root)
        self.turn = 0
        self.asked: dict[int, int] = {}
        self.samples = 0
        self.lost: dict[int, int] = {}
        self.met_depth = False
        self._rules = rules
        self._width = width
        self._ids = {"r": self.tree.root}
        self._same: dict[tuple[int, tuple[int, ...]], Node] = {}
        self._given: dict[int, int] = {}
        self._memory: Mapping[str, JsonValue] = {}

    def view(self, depth: int, width: int | None = None) -> TreeView:
        """What a method sees.

        Args:
            depth: the level to decide.
            width: samples of a level; None for the whole width.
        """
        width = self._width if width is None else width
        return TreeView(self.tree.views(), depth, width, dict(self._given), dict(self.lost), self._memory)

    def chosen(self, decision: Decision, by: str) -> list[tuple[Node, int]]:
        """The nodes that a decision names.

        Args:
            decision: the method's.
            by: the method's name.

        Raises:
            ConfigurationError: it gives children to what can have none.
        """
        found: list[tuple[Node, int]] = []
        for number, count in decision.children.items():
            node = self.tree[number] if 0 <= number < len(self.tree) else None
            if node is None or not node.is_open or count < 1:
                what = "no node" if node is None else node.state.value
                raise ConfigurationError(f"the method {by!r} gave {count} children to node {number}, which is {what}")
            found.append((node, count))
        return found

    def decided(self, entry: DecisionEntry) -> list[tuple[Node, int, int]]:
        """Take a decision over.

        Returns:
            For each node that gets children: the node, the place of the first sample, and how many.
        """
        self.turn += 1
        self._memory = entry.memory
        asked: list[tuple[Node, int, int]] = []
        for name, count in entry.children:
            node = self._ids[name]
            asked.append((node, node.width, count))
            node.width += count
            self._given[node.number] = node.width
            self.asked[node.depth + 1] = self.asked.get(node.depth + 1, 0) + count
        return asked

    def settle(self, arrival: Arrival) -> Node | None:
        """Make a node of a sample, or count it.

        Returns:
            The node when it is new.
        """
        self.samples += 1
        depth = arrival.parent.depth + 1
        if arrival.branch is None:
            self.lost[depth] = self.lost.get(depth, 0) + 1
            return None
        known = self._same.get(arrival.same)
        if known is not None:
            self.tree.count_again(known)
            return None
        prompt = len(self.tree.root.prefix)
        path = len(arrival.branch.prefix) - prompt
        answer = arrival.answer(self._rules)
        state = self._rules.state(arrival.step, answer, path, depth=depth, prompt_tokens=prompt)
        self.met_depth |= state is NodeState.SPENT and depth == self._rules.depth
        node = self.tree.add(
            arrival.parent, arrival.branch, arrival.score, answer,
            place=arrival.place, state=state, score_failure=arrival.score_failure,
        )  # fmt: skip
        self._ids[node.id] = self._same[arrival.same] = node
        return node

    def known(self, arrival: Arrival) -> Node | None:
        """The node that an arrival's step is already."""
        return self._same.get(arrival.same)

    def resident(self, nodes: Iterable[Node]) -> int:
        """Tokens of the paths to these nodes, each counted once."""
        seen: set[int] = set()
        tokens = 0
        for leaf in nodes:
            node: Node | None = leaf
            while node is not None and node.number not in seen:
                seen.add(node.number)
                tokens += len(node.prefix.step_token_ids)
                node = node.parent
        return tokens


def grouped(arrivals: Sequence[Arrival]) -> list[list[Arrival]]:
    """Arrivals that came out as the same step together; failed ones are left out."""
    groups: dict[tuple[int, tuple[int, ...]], list[Arrival]] = {}
    for arrival in arrivals:
        if arrival.branch is not None:
            groups.setdefault(arrival.same, []).append(arrival)
    return list(groups.values())
