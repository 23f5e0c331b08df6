"""A tree that is read back is the tree that was grown, whatever came when and however often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ets_client.prefix import Origin, Prefix
from ets_client.search.arrivals import Arrival
from ets_client.search.children import TreeRules
from ets_client.search.growth import Growth
from ets_client.search.journal import DecisionEntry, Entry, ScoresEntry, StepsEntry, branch_of
from ets_client.search.journal.grow import load_question

from .lines import question, step

if TYPE_CHECKING:
    from ets_client.search import Node
    from ets_client.search.journal import StepEntry

TEXTS = ["a", "b", "a longer one", "", "the answer is 7", "the answer is 12"]
DEPTH = 3


def grown(data: st.DataObject, rules: TreeRules) -> tuple[Growth, list[Entry]]:
    """A search whose method and server do anything, and its lines."""
    root = Prefix([1, 2, 3], "Q: 1 + 1?", origin=Origin("t"))
    growth, entries = Growth(root, rules, 8), list[Entry]([question()])
    waiting: list[Arrival] = []  # asked for, in order

    def decide(after: str | None) -> None:
        can = [node for node in growth.tree if node.is_open]  # also one that has been asked before
        least = 0 if growth.turn else 1
        chosen = data.draw(st.lists(st.sampled_from(can), min_size=least, max_size=3, unique_by=id))
        named = [(node.id, data.draw(st.integers(1, 4))) for node in chosen]
        notes = {} if after is None else {"after": after}
        decision = DecisionEntry(0, growth.turn, growth.turn, named, notes=notes)
        entries.append(decision)
        for node, first, n in growth.decided(decision):
            waiting.extend(arrival(node, place) for place in range(first, first + n))

    def arrival(node: Node, place: int) -> Arrival:
        made = sample()
        return Arrival(node, place, made, None if made.failed else branch_of(made, node.prefix))

    def sample() -> StepEntry:
        end, failed = data.draw(st.sampled_from(["delimiter", "eos", "step_length"])), data.draw(st.integers(0, 5)) == 0
        return step(data.draw(st.sampled_from(TEXTS)), end=end, failed="dropped" if failed else None)

    def keep(arrivals: list[Arrival]) -> None:
        scored: dict[object, float] = {}
        for each in arrivals:
            entries.append(StepsEntry(0, each.parent.id, each.place, [each.step], {}))
            if each.branch is not None and growth.known(each) is None:
                if each.same not in scored:
                    scored[each.same] = data.draw(st.floats(0, 1))
                    entries.append(ScoresEntry(0, [each.id], [scored[each.same]]))
                each.score = scored[each.same]

    decide(None)
    while waiting and growth.turn < 8:
        if rules.by_level:
            level, waiting[:] = list(waiting), []
            keep(data.draw(st.permutations(level)))
            for each in level:
                growth.settle(each)
            decide(None)
        else:
            came = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            keep([came])
            growth.settle(came)
            decide(came.id)
    return growth, entries


@settings(max_examples=150)
@given(st.data(), st.booleans())
def test_a_tree_that_is_read_back_is_the_tree_that_was_grown(data: st.DataObject, by_level: bool) -> None:
    rules = TreeRules(max_path_tokens=30, answer=r"answer is (\d+)", by_level=by_level, depth=DEPTH, window_tokens=28)
    growth, entries = grown(data, rules)
    read = load_question(0, entries, rules)
    found = [
        (n.number, n.id, n.depth, n.text, n.score, n.answer, n.state, n.multiplicity, n.given, n.children)
        for n in read.nodes.values()
    ]
    assert (
        found[1:]
        == [
            (n.number, n.id, n.depth, n.text, n.score, n.answer, n.state, n.multiplicity, n.width, ids_of(n.children))
            for n in growth.tree
        ][1:]
    )
    assert (found[0][-2], found[0][-1]) == (growth.tree.root.width, ids_of(growth.tree.root.children))


def ids_of(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(node.id for node in nodes)
