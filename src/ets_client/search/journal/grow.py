"""The tree that a question's lines make. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ...usage import Usage
from ..children import identity
from ..loaded import LoadedDecision, LoadedNode, LoadedQuestion
from ..methods.view import NodeState
from .entries import AFTER, DecisionEntry, ScoresEntry, StepEntry, StepsEntry
from .errors import JournalError
from .paid import Missing, PaidQuestion
from .steps import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..children import TreeRules
    from .entries import Entry

__all__ = ["load_question"]


@dataclass(slots=True, eq=False)
class _Draft:
    """A node to be; of the root there is no step."""

    id: str
    depth: int = 0
    path_tokens: int = 0  # the prompt not counted
    parent: _Draft | None = None
    step: StepEntry | None = None
    source: StepsEntry | None = None
    multiplicity: int = 0
    children: list[str] = field(default_factory=list[str])


class _Sample(NamedTuple):
    id: str
    parent: str
    step: StepEntry
    source: StepsEntry


def load_question(number: int, entries: Iterable[Entry], rules: TreeRules) -> LoadedQuestion:
    """A question as data.

    Args:
        number: of the question.
        entries: its lines.
        rules: of the run.

    Raises:
        JournalError: the lines do not belong together.
    """
    paid = PaidQuestion(entries)
    if paid.root is None:
        raise JournalError(f"question {number} has lines, but none that tells how it began")
    warm = scoring = unused = Usage()
    for entry in paid.entries:
        if isinstance(entry, StepsEntry):
            warm += Usage(entry.warm_prompt, entry.warm_cached)
        elif isinstance(entry, ScoresEntry):
            scoring += Usage(entry.prompt, entry.cached)
    drafts = {"r": _Draft("r")}
    same: dict[tuple[str, tuple[int, ...]], _Draft] = {}
    for sample in _by_decision(paid) if rules.by_level else _by_arrival(paid):
        if sample.step.failed is not None:
            unused += usage_of(sample.step)
            continue
        step = sample.parent, identity(sample.step)
        if step in same:
            unused += usage_of(sample.step)
        else:
            same[step] = drafts[sample.id] = _child(drafts, sample)
        same[step].multiplicity += 1
    given = Counter[str]()
    for decision in paid.decisions:
        given.update(dict(decision.children))
    nodes = [_node(place, draft, given[draft.id], paid, rules) for place, draft in enumerate(drafts.values())]
    ended = paid.ended
    return LoadedQuestion(
        number=number,
        problem=paid.root.problem,
        expected=paid.root.answer,
        answer=None if ended is None else ended.answer,
        why=None if ended is None else ended.why,
        seconds=paid.seconds if ended is None else ended.seconds,
        nodes={node.id: node for node in nodes},
        decisions=tuple(
            LoadedDecision(each.turn, each.depth, dict(each.children), each.notes) for each in paid.decisions
        ),
        warm_usage=warm,
        scoring_usage=scoring,
        unused_usage=unused,
    )


def _by_decision(paid: PaidQuestion) -> Iterator[_Sample]:
    """All samples, in the order in which they were asked for."""
    given = Counter[str]()
    for decision in paid.decisions:
        for node, n in decision.children:
            yield from _samples(paid.steps(node, given[node], n))
            given[node] += n


def _by_arrival(paid: PaidQuestion) -> Iterator[_Sample]:
    """All samples, in the order in which decisions followed them; then those that none followed, scored ones first."""
    samples: dict[str, _Sample] = {}
    followed: dict[str, None] = {}
    scored: dict[str, None] = {}
    for entry in paid.entries:
        if isinstance(entry, StepsEntry):
            for sample in _samples([entry]):
                samples.setdefault(sample.id, sample)  # what was paid for first was used
        elif isinstance(entry, ScoresEntry):
            scored.update(dict.fromkeys(entry.nodes))
        elif isinstance(entry, DecisionEntry):
            followed.update(dict.fromkeys(str(entry.notes.get(AFTER, "")).split()))
    yield from (samples.pop(node) for node in (*followed, *scored) if node in samples)
    yield from samples.values()


def _samples(entries: Iterable[StepsEntry]) -> Iterator[_Sample]:
    for entry in entries:
        for place, step in enumerate(entry.steps, start=entry.first):
            yield _Sample(f"{entry.parent}.{place}", entry.parent, step, entry)


def _child(drafts: dict[str, _Draft], sample: _Sample) -> _Draft:
    parent = drafts.get(sample.parent)
    if parent is None:
        raise JournalError(f"sample {sample.id} has no parent: {sample.parent} is no node of this journal")
    tokens = parent.path_tokens + len(sample.step.ids)
    child = _Draft(sample.id, parent.depth + 1, tokens, parent, sample.step, sample.source)
    parent.children.append(sample.id)  # not the child: without cycles, what was read is freed at once
    return child


def _node(number: int, draft: _Draft, given: int, paid: PaidQuestion, rules: TreeRules) -> LoadedNode:
    root, step, source = paid.root, draft.step, draft.source
    assert root is not None  # noqa: S101 - load_question sees to it
    children = tuple(draft.children)
    if step is None or source is None or draft.parent is None:
        ids, text = tuple(root.root_ids), root.root_text
        return LoadedNode(
            "r", 0, None, 0, ids, text, NodeState.OPEN, None, None, None, None, 1, children, given, Usage(), "", {},
            None, 0.0, text,
        )  # fmt: skip
    score, answer = paid.scores(draft.id), rules.answer_in(step)
    return LoadedNode(
        id=draft.id,
        number=number,
        parent=draft.parent.id,
        depth=draft.depth,
        token_ids=tuple(step.ids),
        text=step.text,
        state=rules.state(step, answer, draft.path_tokens, depth=draft.depth, prompt_tokens=len(root.root_ids)),
        end=step.end,
        score=None if isinstance(score, Missing) else score,
        score_failure="it was not scored" if isinstance(score, Missing) else (paid.reason(draft.id) or None),
        answer=answer,
        multiplicity=draft.multiplicity,
        children=children,
        given=given,
        usage=usage_of(step),
        rid=step.rid,
        request=_request(source, step, int(draft.id.rpartition(".")[2]) - source.first),
        logprob=step.logprob,
        at=source.at,
        full_text=step.full_text,
    )


def _request(source: StepsEntry, step: StepEntry, sample: int) -> Mapping[str, Any]:
    seed = source.request.get("seed")
    own = source.request if seed is None or not sample else {**source.request, "seed": seed + sample}
    return own if step.pieces == 1 else {**own, "pieces": step.pieces}
