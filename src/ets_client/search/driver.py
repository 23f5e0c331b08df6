"""One question: a tree is grown by a method's decisions and a scorer's scores, and its answers vote."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    ServerUnreachableError,
    UnsupportedError,
)
from ..prefix import Origin, Prefix
from ..sampling import SamplingParams
from ..stats import ServerState
from ..usage import Usage
from .answers import is_same_answer, weighted_vote
from .arguments import check_parts, check_question
from .budget import Budget, Spending
from .children import TreeRules
from .course import Course
from .events import SearchEnded, SearchStarted
from .free import grow_freely
from .growth import Growth
from .journal import JournalError
from .levels import grow_by_levels
from .options import SearchOptions
from .record import Record
from .sampler import Sampler
from .scorers import LogProb, MicroBatcher, RewardServer, SelfConsistency
from .scoring import Scoring
from .tree import SearchTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import AsyncPolicyClient
    from ..policy_calls import PolicyCalls
    from .events import SearchEvent
    from .methods import Method
    from .questions import Question
    from .scorers import Scorer

_FATAL = (ServerUnreachableError, AuthenticationError, ConfigurationError, UnsupportedError, JournalError)

__all__ = ["SearchResult", "TreeSearch", "is_final"]


@dataclass(frozen=True)
class SearchResult:
    """What a search found and what it cost.

    Attributes:
        question: what was asked.
        answer: the winner of the vote, or None when no path answered.
        is_correct: whether it is the right one, or None when that is not known.
        tree: all nodes; in what a run with a folder returns, the root alone, since the rest is in the folder.
        expands: expand calls.
        samples: steps sampled, those that were given up among them.
        lost: of these, samples that never became nodes: too long and dropped, or stopped early.
        usage: tokens on the policy, as the server counted them.
        scoring_usage: tokens on the reward server.
        seconds: from the root to the vote; earlier sessions count, a killed one while samples were under way.
        why: why it ended: ``done``, ``depth``, the budget that was used up (``tokens``, ``run seconds``), or
            ``error: …``.
        error: what made it end, or None.
    """

    question: Question
    answer: str | None
    is_correct: bool | None
    tree: SearchTree
    expands: int
    samples: int
    lost: int
    usage: Usage
    scoring_usage: Usage
    seconds: float
    why: str
    error: Exception | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the search came to its own end."""
        return self.why in {"done", "depth"}

    def light(self) -> SearchResult:
        """The same with the root alone for a tree: 500 whole ones of width 256 are gigabytes."""
        return replace(self, tree=SearchTree(self.tree.root.prefix))


def is_final(why: str) -> bool:
    """Whether a search that ended so stays ended when its run is resumed: its own end, or its own budget's."""
    return not why.startswith(("run ", "error"))


class TreeSearch:
    """Searches questions on a policy server, with any method and any scorer.

    Args:
        client: the policy.
        method: who decides which nodes get children.
        scorer: who scores steps; None for :class:`~ets_client.search.scorers.LogProb`.
        options: width, depth, budgets and the like; None for the defaults.

    Raises:
        ConfigurationError: the profile has no answer pattern, or one of the parts is something else.
    """

    def __init__(
        self,
        client: AsyncPolicyClient,
        method: Method,
        scorer: Scorer | None = None,
        options: SearchOptions | None = None,
    ) -> None:
        check_parts(client, method, scorer, options)
        self.client = client
        self.method = method
        self.scorer = scorer or LogProb()
        self._scores = self.scorer if self.scorer.is_local else MicroBatcher(self.scorer)
        self.options = options or SearchOptions()
        profile, sampling = client.profile, self.options.sampling or SamplingParams()
        if profile.answer is None:
            raise ConfigurationError(
                f"profile {profile.name!r} has no answer pattern, so no path could ever answer: choose a "
                "profile with answer.pattern (--profile NAME), or an endpoint file that names one (--endpoint FILE)"
            )
        if isinstance(self.scorer, SelfConsistency) and (self.options.barrier == "none" or self.options.watch):
            raise ConfigurationError(
                "SelfConsistency compares the samples of a level, which come one by one with barrier='none' and with "
                "watch: take barrier='level' and no watch"
            )
        self._step = SamplingParams(
            max_new_tokens=sampling.max_new_tokens or profile.steps.max_step_tokens,
            stop=sampling.stop or profile.steps.delimiters,
        )
        if self.options.max_path_tokens is not None:
            # With a length of its own the client's calls leave the path's length to us.
            sampling = sampling.changed({"max_new_tokens": self._step.max_new_tokens})
        self.sampling = sampling
        self.rules = TreeRules(
            max_path_tokens=self.options.max_path_tokens or profile.steps.max_path_tokens,
            answer=profile.answer.pattern,
            by_level=self.options.barrier == "level",
            depth=self.options.depth,
            window_tokens=client.capabilities.window_tokens,
        )

    async def run(
        self,
        question: Question,
        number: int = 0,
        *,
        observe: Callable[[SearchEvent], None] = lambda event: None,  # noqa: ARG005 - nobody watches
        record: Record | None = None,
        spending: Spending | None = None,
        budget: Budget | None = None,
    ) -> SearchResult:
        """Search one question. Cancelling it stops all its samples on the server.

        Args:
            question: what to answer.
            number: which search this is, for ``observe`` and the record.
            observe: called with every event, from the event loop.
            record: what earlier sessions paid for, and where this one writes; None keeps nothing.
            spending: of the run that this search belongs to.
            budget: of that run.

        Returns:
            The result. When a budget is used up, or a call fails, with the best answer so far; ``why`` and ``error``
            tell of it.

        Raises:
            ServerUnreachableError: a server is gone for longer than a call waits. Other failures of calls end the
                search with its answers so far, but for those that every question would meet:
            AuthenticationError: a server wants another key.
            ConfigurationError: client, method or scorer cannot work together, or it is no question.
            UnsupportedError: the server cannot do what the options ask for.
            JournalError: nothing can be kept any more.
        """
        check_question(question)
        record = record or Record(number)
        spent = Spending(time.monotonic() - record.earlier_seconds, whole=spending)
        origin = Origin(self.client.capabilities.tokenizer_path)
        growth = Growth(record.root(origin) or Prefix((), "", origin=origin), self.rules, self.options.width)
        why, error = "", None
        try:
            if not len(growth.tree.root.prefix):
                growth = Growth(await self.client.root(question.problem), self.rules, self.options.width)
                await record.begin(question, growth.tree.root.prefix, self.options.seed)
            observe(SearchStarted(number, question, growth.tree))
            async with self.client.tree(f"question {number + 1}") as calls:
                course = self._course(calls, question, number, growth, record, spent, budget or Budget(), observe)
                grow = grow_by_levels if self.options.barrier == "level" else grow_freely
                why = await grow(course)
        except Exception as failure:
            if self._is_fatal(failure):
                raise
            why, error = f"error: {failure}", failure
        if not len(growth.tree.root.prefix):
            return await self._no_root(question, number, growth, record, error, observe)
        answer = None
        try:
            answer = self._vote(growth.tree)
        except Exception as failure:  # noqa: BLE001 - what a scorer's `weight` may raise is this question's alone
            if error is None:
                why, error = f"error: {failure}", failure
        is_correct = None if question.answer is None else answer is not None and is_same_answer(answer, question.answer)
        seconds = time.monotonic() - spent.began
        await record.ended(answer, why, seconds)
        result = SearchResult(
            question, answer, is_correct, growth.tree, spent.expands, growth.samples, sum(growth.lost.values()),
            spent.usage, spent.scoring, seconds, why, error,
        )  # fmt: skip
        observe(SearchEnded(number, result))
        return result

    async def _no_root(
        self,
        question: Question,
        number: int,
        growth: Growth,
        record: Record,
        error: Exception | None,
        observe: Callable[[SearchEvent], None],
    ) -> SearchResult:
        """The prompt could not be made: it is too long, or the server failed to tokenise it."""
        why = f"error: {error}"
        if isinstance(error, InvalidRequestError):  # else it may be made when the run is resumed
            await record.begin(question, growth.tree.root.prefix, self.options.seed)
            await record.ended(None, why, 0.0)
        is_correct = None if question.answer is None else False
        result = SearchResult(question, None, is_correct, growth.tree, 0, 0, 0, Usage(), Usage(), 0.0, why, error)
        observe(SearchStarted(number, question, growth.tree))
        observe(SearchEnded(number, result))
        return result

    def _course(
        self,
        calls: PolicyCalls,
        question: Question,
        number: int,
        growth: Growth,
        record: Record,
        spent: Spending,
        budget: Budget,
        observe: Callable[[SearchEvent], None],
    ) -> Course:
        sampler = Sampler(
            calls, self.options, self.sampling, self._step, record, spent, number=number,
            max_path_tokens=self.rules.max_path_tokens, needs_logprobs=self.scorer.needs_logprobs,
        )  # fmt: skip
        scoring = Scoring(self._scores, self.rules, question.problem, record, spent)
        return Course(
            number, self.method, self.scorer, self.options, growth, sampler, scoring, record, spent, budget, observe
        )

    def _is_fatal(self, failure: Exception) -> bool:
        """Whether the other questions of a run would fail likewise, or nothing can be kept any more."""
        if isinstance(failure, DeadlineExceededError):
            servers = [self.client, *([self.scorer.client] if isinstance(self.scorer, RewardServer) else [])]
            return any(server.stats.server is ServerState.DOWN for server in servers)
        return isinstance(failure, _FATAL)

    def _vote(self, tree: SearchTree) -> str | None:
        """Each sample that answers counts, with its path's weight."""
        return weighted_vote(
            (node.answer or "", node.multiplicity * self.scorer.weight(node.step_scores())) for node in tree.answered()
        )
