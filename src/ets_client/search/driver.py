"""One question: levels of expands, with REBASE's decision between them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._together import together
from ..branch import Usage
from ..errors import ConfigurationError
from .answers import find_answer, is_same_answer, weighted_vote
from .events import LevelEnded, NodeAdded, SearchEnded, SearchEvent, SearchStarted, WidthAllocated
from .methods import rebase_allocation
from .tree import Node, SearchTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..branch import Branch, Expansion
    from ..client import AsyncPolicyClient
    from .questions import Question

__all__ = ["RebaseSearch", "SearchResult"]


@dataclass(frozen=True)
class SearchResult:
    """What a search found and what it cost.

    Attributes:
        question: what was asked.
        answer: the winner of the vote, or None when no path answered.
        is_correct: whether it is the right one, or None when that is not known.
        tree: all nodes.
        expands: expand calls.
        samples: steps sampled.
        usage: tokens of all requests, as the server reported them.
        seconds: from the root to the vote.
        is_complete: False when the time was over before the search was.
    """

    question: Question
    answer: str | None
    is_correct: bool | None
    tree: SearchTree
    expands: int
    samples: int
    usage: Usage
    seconds: float
    is_complete: bool


@dataclass(frozen=True)
class RebaseSearch:
    """REBASE (arXiv 2408.00724), level by level, on one policy server.

    A step's score is the mean log-probability of its tokens. That stands in for a reward model: it tells what the
    policy finds likely, not what is right. Answers vote with the weight exp(mean score of the path's steps).

    Args:
        client: the policy.
        width: samples of a level at the beginning; a path that ends takes its share with it.
        depth: most levels.
        temperature: of the allocation's softmax.
    """

    client: AsyncPolicyClient
    width: int = 8
    depth: int = 6
    temperature: float = 0.2

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1 or not self.temperature > 0:
            raise ConfigurationError(
                f"width = {self.width}, depth = {self.depth}, temperature = {self.temperature}: all must be above 0"
            )
        if self.client.profile.answer is None:
            raise ConfigurationError(
                f"profile {self.client.profile.name!r} has no answer pattern, so no path could ever answer: choose a "
                "profile with answer.pattern (--profile NAME), or an endpoint file that names one (--endpoint FILE)"
            )

    async def run(
        self,
        question: Question,
        number: int = 0,
        observe: Callable[[SearchEvent], None] = lambda event: None,  # noqa: ARG005 - nobody watches
        until: float = math.inf,
    ) -> SearchResult:
        """Search one question. Cancelling it stops all its samples on the server.

        Args:
            question: what to answer.
            number: which search this is, for ``observe``.
            observe: called with every event, from the event loop.
            until: end of the time on :func:`time.monotonic`'s clock; no level starts after it.

        Returns:
            The result, with the best answer so far when the time was over.

        Raises:
            RequestError: an expand failed.
        """
        start = time.monotonic()
        tree = SearchTree(await self.client.root(question.problem))
        observe(SearchStarted(number, question, tree))
        expands, usage, is_complete = 0, Usage(), True
        for depth in range(self.depth):
            chosen = self._allocate(tree, depth)
            if not chosen:
                break
            if time.monotonic() >= until:
                is_complete = False
                break
            observe(WidthAllocated(number, depth, tuple(tree.level(depth))))
            for node, expansion in zip(chosen, await together(self._expand(node) for node in chosen), strict=True):
                expands, usage = expands + 1, usage + expansion.usage
                for branch in expansion:
                    observe(NodeAdded(number, self._add(tree, node, branch)))
            observe(LevelEnded(number, depth + 1, tuple(tree.level(depth + 1))))
        answer = weighted_vote((node.answer or "", _weight(node)) for node in tree.answered())
        is_correct = None if question.answer is None else answer is not None and is_same_answer(answer, question.answer)
        seconds = time.monotonic() - start
        result = SearchResult(question, answer, is_correct, tree, expands, len(tree) - 1, usage, seconds, is_complete)
        observe(SearchEnded(number, result))
        return result

    def _allocate(self, tree: SearchTree, depth: int) -> list[Node]:
        ended = sum(not self._can_grow(node) for node in tree)
        candidates = [node for node in tree.level(depth) if self._can_grow(node)]
        scores = [node.score for node in candidates]
        counts = rebase_allocation(scores, max(0, self.width - ended), self.temperature)
        for node, count in zip(candidates, counts, strict=True):
            node.width = count
        return [node for node in candidates if node.width]

    async def _expand(self, node: Node) -> Expansion:
        return await self.client.expand(node.prefix, node.width, logprobs=True)

    def _can_grow(self, node: Node) -> bool:
        path = len(node.prefix) - len(node.prefix.root)
        return node.is_open and path < self.client.profile.steps.max_path_tokens

    def _add(self, tree: SearchTree, parent: Node, branch: Branch) -> Node:
        answer = self.client.profile.answer
        found = find_answer(answer.pattern, branch.text) if answer is not None else None
        mean = branch.logprobs.mean if branch.logprobs is not None else math.nan
        return tree.add(parent, branch, -math.inf if math.isnan(mean) else mean, found)


def _weight(node: Node) -> float:
    scores = node.step_scores()
    return math.exp(math.fsum(scores) / len(scores))
