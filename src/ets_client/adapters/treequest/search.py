"""TreeQuest's algorithms, run on one policy server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ...errors import ConfigurationError
from .growth import Growth
from .run import Run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from treequest import Algorithm

    from ...client import AsyncPolicyClient
    from ...logprobs import LogprobOptions
    from ...prefix import Prefix
    from ...sampling import SamplingParams
    from ...scores import ScoreFailure
    from ...search.scorers import PathScore, ScoredPath
    from ...tree import Tree
    from .growth import Step

__all__ = ["TreeQuestSearch"]

State = TypeVar("State")


@dataclass(frozen=True)
class TreeQuestSearch:
    """Runs TreeQuest's algorithms on one policy server.

    ::

        search = TreeQuestSearch(client, scorer.score)
        algorithm = treequest.ABMCTSA()
        growth = await search.grow(algorithm, algorithm.init_tree(), "How many legs have 3 cats?", trials=40)
        step, score = treequest.top_k(growth.tree, algorithm, k=1)[0]

    A node is a :class:`Step`, a trial samples one more step behind it. Trials run at once; those with the same parent
    and action go in one expand, and their steps are scored together.

    TreeQuest knows neither ends nor failures. A path that has ended, or has no room, is told again as its own child,
    with ``repeat_score``: that costs a trial and no token, and sends the algorithm elsewhere. A trial whose sample or
    score failed is not told: algorithms with a queue of places (StandardMCTS, best-first, tree of thoughts) ask for its
    place again, the others draw anew.

    Args:
        client: the policy, or a tree of it, whose end and time then hold for the search.
        score: scores steps, as :meth:`ets_client.search.scorers.Scorer.score` does.
        scale: makes of a score one from 0 to 1, which TreeQuest wants: :func:`math.exp` of a mean log-probability, a
            sigmoid of a reward head's output. None when the scores are such already.
        actions: TreeQuest's actions and how each samples.
        batch: most trials in flight. TreeQuest recommends up to 5: the algorithm knows nothing of them when it asks
            for the next, and a large batch makes a wide tree.
        repeat_score: what a path that has ended is told again with, 0 to 1; None for its own score. With that a path
            that ends with the best score holds best-first search for ever, and fills a tree of thoughts.
        logprobs: what ``score`` needs of log-probabilities, as in :meth:`AsyncPolicyClient.expand`.
        patience: failures with nothing told between them that end the search.
        timeout: seconds of an expand, all retries included; None takes the client's.

    Raises:
        ConfigurationError: a number is out of range, or there is no action.
    """

    client: AsyncPolicyClient | Tree
    score: Callable[[Sequence[ScoredPath]], Awaitable[Sequence[PathScore | ScoreFailure]]]
    scale: Callable[[float], float] | None = None
    actions: Mapping[str, SamplingParams | None] = field(default_factory=lambda: {"step": None})
    batch: int = 5
    repeat_score: float | None = 0.0
    logprobs: bool | LogprobOptions = False
    patience: int = 16
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.batch < 1 or self.patience < 1 or not self.actions:
            raise ConfigurationError(
                f"batch = {self.batch}, patience = {self.patience}, {len(self.actions)} actions: at least 1 of each"
            )
        if self.repeat_score is not None and not 0 <= self.repeat_score <= 1:
            raise ConfigurationError(f"repeat_score = {self.repeat_score}: from 0 to 1, or None")

    async def grow(
        self,
        algorithm: Algorithm[Step, State],
        tree: State,
        question: str,
        *,
        trials: int,
        root: Prefix | None = None,
    ) -> Growth[State]:
        """Let the algorithm have so many more trials.

        TreeQuest's algorithms work on the state that they are given: when this raises or is cancelled, ``tree`` holds
        all that was told. Go on with it, or pickle it first. They ask in a thread, since they think for long (ABMCTSA
        for 0.1 s behind 1,000 nodes, ABMCTSM for seconds).

        Args:
            algorithm: which decides.
            tree: its state, of ``algorithm.init_tree()`` or of an earlier call with the same question.
            question: the question's text.
            trials: results to tell.
            root: where the tree begins; None for the question in the profile's prompt.

        Raises:
            ConfigurationError: a score was outside 0 to 1, or the tree is another question's.
            TrialsFailedError: ``patience`` trials failed in a row.
            InvalidRequestError: the question or a sampling cannot be sent.
            RequestError: the server was asked to tokenise the question and failed.

        Cancelling it stops its samples on the server.
        """
        start = await self.client.root(question) if root is None else root
        run = Run(self, algorithm, tree, question, start)
        try:
            while run.told < trials:
                await run.ask(min(self.batch, trials - run.told))
                if not run.running:
                    break
                await run.tell()
        finally:
            await run.stop()
        return Growth(run.tree, run.told, run.repeats, tuple(run.failures), run.usage)
