"""What a journal holds, line by line: every decision and everything that was paid for."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "AFTER", "DecisionEntry", "EndEntry", "Entry", "QuestionEntry", "RunEntry", "ScoresEntry", "StepEntry",
    "StepsEntry",
]  # fmt: skip

AFTER = "after"
"""In a decision's notes: ids of the samples that it followed, spaces between, where decisions wait for no level."""


class _Entry(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True, gc=False):
    """Common to all."""


class RunEntry(_Entry, frozen=True, tag="run"):
    """A session begins; the file's first line is of the first one.

    Attributes:
        format: version of this file's form.
        manifest: model and revision, server and flags, hardware, method, scorer, sampling, seeds.
    """

    format: int
    manifest: dict[str, Any]


class QuestionEntry(_Entry, frozen=True, tag="question"):
    """A search begins.

    Attributes:
        question: its number in the run, from 0.
        problem: its text.
        answer: the right answer, when known.
        root_ids: the prompt on the policy.
        root_text: its text, template included.
        seed: the first seed of this search.
    """

    question: int
    problem: str
    root_ids: list[int]
    root_text: str
    answer: str | None = None
    seed: int | None = None


class DecisionEntry(_Entry, frozen=True, tag="decision"):
    """The method has decided.

    Attributes:
        question: number of the question.
        turn: decisions before it in this search.
        depth: the level that was decided.
        children: node id and samples, in order.
        memory: see :attr:`Decision.memory`.
        notes: see :attr:`Decision.notes`.
    """

    question: int
    turn: int
    depth: int
    children: list[tuple[str, int]]
    memory: dict[str, Any] = {}
    notes: dict[str, Any] = {}


class StepEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One sample, as :class:`~ets_client.Branch` has it; a step that was continued has the ids of all its pieces.

    Attributes:
        ids: the step's token ids.
        text: its text without the stop.
        full_text: the text of all ids, stop included.
        end: an :class:`~ets_client.EndReason`.
        rid: of the sample's last request.
        matched: what ended it.
        overshoot: see :attr:`Branch.overshoot`.
        prompt: tokens sent, all pieces.
        cached: of these, found in the server's cache.
        generated: tokens generated.
        logprob: mean log-probability of its tokens, when asked for.
        failed: why there is no step; then only the rid counts.
        pieces: requests that made it: a step that was continued has several, one after the other, with one seed.
    """

    ids: list[int]
    text: str
    full_text: str
    end: str
    rid: str
    matched: str | int | None = None
    overshoot: str = ""
    prompt: int = 0
    cached: int = 0
    generated: int = 0
    logprob: float | None = None
    failed: str | None = None
    pieces: int = 1


class StepsEntry(_Entry, frozen=True, tag="steps"):
    """Samples of a node have arrived.

    Attributes:
        question: number of the question.
        parent: id of the node that was expanded.
        first: the first sample's place among the parent's children.
        steps: in order; the i-th is the child ``first + i``, whose id is ``f"{parent}.{first + i}"``.
        request: what was asked: sampling fields as sent (the seed is the first sample's), ``plan``.
        seconds: from the call to the reply.
        at: seconds since the run began.
        warm_prompt: tokens of the request that warmed the prefix.
        warm_cached: of these, cached.
    """

    question: int
    parent: str
    first: int
    steps: list[StepEntry]
    request: dict[str, Any]
    seconds: float = 0.0
    at: float = 0.0
    warm_prompt: int = 0
    warm_cached: int = 0


class ScoresEntry(_Entry, frozen=True, tag="scores"):
    """Paths were scored.

    Attributes:
        question: number of the question.
        nodes: ids of the scored nodes.
        values: their scores; None where there is none.
        reasons: why there is none, by place in ``nodes``.
        prompt: tokens sent to the reward server.
        cached: of these, cached.
    """

    question: int
    nodes: list[str]
    values: list[float | None]
    reasons: dict[int, str] = {}
    prompt: int = 0
    cached: int = 0


class EndEntry(_Entry, frozen=True, tag="end"):
    """A search is over.

    Attributes:
        question: number of the question.
        answer: the winner of the vote, or None.
        why: ``done``, ``depth``, or the budget that was used up.
        seconds: the search took, all sessions together.
    """

    question: int
    answer: str | None
    why: str
    seconds: float


Entry = RunEntry | QuestionEntry | DecisionEntry | StepsEntry | ScoresEntry | EndEntry
