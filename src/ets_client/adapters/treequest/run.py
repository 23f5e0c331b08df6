"""One growth of a tree: ask, sample, score, tell."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ...errors import ConfigurationError, InvalidRequestError, RequestError
from ...scores import ScoreFailure
from ...search.scorers import ScoredPath
from ...usage import Usage
from .growth import Step, TrialsFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from treequest import Algorithm
    from treequest.trial import Trial

    from ...prefix import Prefix
    from .search import TreeQuestSearch

    _AskBatch = Callable[["State", int, list[str]], tuple["State", list[Trial[Step]]]]

__all__ = ["Run"]

State = TypeVar("State")


@dataclass(slots=True)
class Group:
    """What became of the trials of one parent and one action."""

    trials: list[Trial[Step]]
    steps: list[Step] = field(default_factory=list["Step"])
    failures: list[RequestError | ScoreFailure] = field(default_factory=list["RequestError | ScoreFailure"])
    usage: Usage = Usage()  # noqa: RUF009 - frozen
    is_repeat: bool = False


class Run(Generic[State]):
    """One call of ``grow``."""

    def __init__(
        self, search: TreeQuestSearch, algorithm: Algorithm[Step, State], tree: State, question: str, root: Prefix
    ) -> None:
        self.tree = tree
        self.told = self.repeats = 0
        self.usage = Usage()
        self.failures: list[RequestError | ScoreFailure] = []
        self.running: dict[asyncio.Task[Group], int] = {}
        self._in_a_row = 0
        self._search = search
        self._algorithm = algorithm
        self._question = question
        self._root = root

    async def ask(self, most: int) -> None:
        """Begin trials until so many are in flight."""
        room = most - sum(self.running.values())
        # An algorithm with a queue hands out the places that are in flight once more.
        if room < 1 or (self.running and _places(self.tree) is not None):
            return
        ask: _AskBatch[State] = cast("Any", self._algorithm).ask_batch  # TreeQuest's type leaves the trials' open
        asking = asyncio.ensure_future(asyncio.to_thread(ask, self.tree, room, list(self._search.actions)))
        try:
            self.tree, asked = await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.wait([asking])  # the thread works on the tree: nobody may have it before that has ended
            raise
        # It fills the batch with duplicates of its places, whose results it would throw away.
        for group in _groups(asked[: _places(self.tree)]):
            task = asyncio.get_running_loop().create_task(self._carry_out(group))
            self.running[task] = len(group.trials)

    async def tell(self) -> None:
        """Wait for results and tell them."""
        done, _ = await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
        in_order = [task for task in self.running if task in done]
        # An error comes last: what can be told is told before it raises.
        for task in sorted(in_order, key=lambda task: task.exception() is not None):
            del self.running[task]
            group = task.result()
            self.usage += group.usage
            self.repeats += len(group.steps) if group.is_repeat else 0
            for trial, step in zip(group.trials, group.steps, strict=False):
                self.tree = self._algorithm.tell(self.tree, trial.trial_id, (step, step.score))
                self.told += 1
            self._note(group)

    async def stop(self) -> None:
        """Stop what is in flight."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def _note(self, group: Group) -> None:
        self.failures += group.failures
        self._in_a_row = 0 if group.steps else self._in_a_row + len(group.failures)
        if self._in_a_row >= self._search.patience:
            error = self.failures[-1]
            raise TrialsFailedError(tuple(self.failures[-self._in_a_row :])) from (
                error if isinstance(error, RequestError) else None
            )

    async def _carry_out(self, group: Group) -> Group:
        search, parent = self._search, group.trials[0].parent_state
        if parent is not None:
            if parent.branch.prefix.root != self._root:
                raise ConfigurationError(
                    f"the tree has another root, {parent.branch.prefix.root!r}, than this question, {self._root!r}: "
                    "give the question or root= that it was begun with, or algorithm.init_tree()"
                )
            if not parent.branch.is_open:
                return self._repeat(group, parent)
        try:
            expansion = await search.client.expand(
                self._root if parent is None else parent.branch.prefix,
                len(group.trials),
                search.actions[group.trials[0].action],
                logprobs=search.logprobs,
                timeout=search.timeout,
            )
        except InvalidRequestError as error:
            if parent is None or error.argument != "prefix":
                raise
            return self._repeat(group, parent)  # the path has no room for another step
        except RequestError as error:
            group.failures = [error] * len(group.trials)
            return group
        group.usage = expansion.usage
        paths = [ScoredPath(self._question, branch.prefix, branch) for branch in expansion]
        for path, outcome in zip(paths, await search.score(paths), strict=True):
            if isinstance(outcome, ScoreFailure):
                group.failures.append(outcome)
            else:
                group.usage += outcome.usage
                group.steps.append(Step(path.branch, self._scaled(outcome.value)))
        return group

    def _repeat(self, group: Group, ended: Step) -> Group:
        score = self._search.repeat_score
        group.steps = [ended if score is None else Step(ended.branch, score)] * len(group.trials)
        group.is_repeat = True
        return group

    def _scaled(self, value: float) -> float:
        scaled = value if self._search.scale is None else self._search.scale(value)
        if not 0 <= scaled <= 1:  # TreeQuest would take the trial for finished before it refuses the score
            raise ConfigurationError(
                f"a step's score is {scaled}, and TreeQuest takes 0 to 1: give scale=, such as math.exp for "
                "log-probabilities or a sigmoid for a reward head"
            )
        return scaled


def _places(tree: object) -> int | None:
    """How many results an algorithm with a queue waits for, or None of one that takes any number."""
    queue: Mapping[str, list[object]] | None = getattr(getattr(tree, "trial_store", None), "next_nodes", None)
    return None if queue is None else sum(len(nodes) for nodes in queue.values())


def _groups(trials: list[Trial[Step]]) -> Iterator[Group]:
    """Trials with the same parent and the same action together, in the order of their first ones."""
    groups: dict[tuple[int, str], list[Trial[Step]]] = {}
    for trial in trials:
        groups.setdefault((id(trial.parent_state), trial.action), []).append(trial)
    return map(Group, groups.values())
