"""Scorers without a server: what they say of paths, and how calls of many searches travel together."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ets_client import ConfigurationError, ScoreFailure
from ets_client.search.scorers import (
    CallableScorer,
    LogProb,
    MicroBatcher,
    PathScore,
    ScoredPath,
    Scorer,
    SelfConsistency,
)
from tests.fakes import eventually
from tests.search.trees import path

if TYPE_CHECKING:
    from collections.abc import Sequence


async def values(scorer: Scorer, *paths: ScoredPath) -> list[float | str]:
    found = await scorer.score(paths)
    return [each.reason if isinstance(each, ScoreFailure) else each.value for each in found]


async def test_a_step_without_log_probabilities_has_no_score() -> None:
    assert await values(LogProb(), path("a")) == ["the step has no log-probabilities"]


def test_log_probabilities_vote_with_their_mean_over_the_path() -> None:
    assert LogProb().weight([-1.0, -3.0]) == pytest.approx(0.1353, abs=1e-4)
    assert LogProb().weight([]) == 0.0


async def test_self_consistency_is_the_share_that_agrees() -> None:
    paths = path("12", answer="12"), path("twelve", answer="12.0"), path("7", answer="7", multiplicity=2), path(" a  b")
    assert await values(SelfConsistency(), *paths) == [0.4, 0.4, 0.4, 0.2]
    assert SelfConsistency().weight([0.1]) == 1.0


def test_by_default_an_answer_counts_as_much_as_its_last_step() -> None:
    def half(paths: Sequence[ScoredPath]) -> list[float]:
        return [0.5] * len(paths)

    scorer = CallableScorer(half)
    assert (scorer.name, scorer.weight([0.2, 0.7]), scorer.weight([-0.1]), scorer.weight([])) == ("half", 0.7, 0.0, 0.0)


async def test_a_function_scores_in_a_thread_and_an_async_one_in_the_loop() -> None:
    threads: list[int] = []

    def plain(paths: Sequence[ScoredPath]) -> list[float | None]:
        threads.append(threading.get_ident())
        return [float(len(path.branch.text)) or None for path in paths]

    async def asynchronous(paths: Sequence[ScoredPath]) -> list[float | None]:
        return plain(paths)

    assert await values(CallableScorer(plain), path("abc"), path("")) == [3.0, "plain gave none"]
    assert await values(CallableScorer(asynchronous, name="mine"), path("")) == ["mine gave none"]
    assert threads[0] != threading.get_ident() == threads[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("0.5", "says gave '0.5': a list with a number, or None, for each path"),
        (0.5, "says gave 0.5: a list"),
        (["good"], "says gave 'good' for a path: a number, or None"),
        ([[0.5]], r"says gave \[0.5\] for a path: a number, or None"),
    ],
)
async def test_a_function_that_gives_something_else_than_numbers_is_told_so(answer: object, said: str) -> None:
    def says(paths: Sequence[ScoredPath]) -> Any:
        return answer

    with pytest.raises(ConfigurationError, match=said):
        await CallableScorer(says).score([path("a")])


async def test_numbers_of_other_libraries_are_scores() -> None:
    def says(paths: Sequence[ScoredPath]) -> Any:
        return np.full(len(paths), 0.5, np.float32)

    assert await values(CallableScorer(says), path("a"), path("b")) == [0.5, 0.5]


class Slow(Scorer):
    """Scores when it is told to, and remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.cancelled = 0
        self.go = asyncio.Event()
        self.bad = ""

    @property
    def name(self) -> str:
        return "slow"

    async def score(self, paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
        self.batches.append(len(paths))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if any(path.problem == self.bad for path in paths):
            raise ValueError("bad")
        return [PathScore(float(len(path.branch.text))) for path in paths]


async def test_what_waits_in_the_same_turn_or_while_a_batch_is_under_way_goes_together() -> None:
    slow = Slow()
    batcher = MicroBatcher(slow, most=4, under_way=1)
    first = [asyncio.create_task(values(batcher, path("a"), path("ab"))) for _ in range(2)]
    await eventually(lambda: slow.batches == [4])
    later = [asyncio.create_task(values(batcher, path("abc"))) for _ in range(5)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert slow.batches == [4]  # one is under way, and no more may be
    slow.go.set()
    assert await asyncio.gather(*first, *later) == [[1.0, 2.0]] * 2 + [[3.0]] * 5
    assert slow.batches == [4, 4, 1]


async def test_a_call_larger_than_a_batch_goes_alone_and_whole() -> None:
    slow = Slow()
    slow.go.set()
    batcher = MicroBatcher(slow, most=2)
    assert list(await asyncio.gather(values(batcher, *[path("a")] * 3), values(batcher, path("b")))) == [
        [1.0] * 3,
        [1.0],
    ]
    assert slow.batches == [3, 1]


async def test_a_failing_batch_fails_only_the_call_that_is_to_blame() -> None:
    slow = Slow()
    slow.go.set()
    slow.bad = "odd"
    batcher = MicroBatcher(slow)
    calls = (values(batcher, path("a")), values(batcher, path("b", problem="odd")), values(batcher, path("cc")))
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [found[0], found[2]] == [[1.0], [2.0]]
    assert isinstance(found[1], ValueError)
    assert slow.batches == [3, 1, 1, 1]


@pytest.mark.parametrize("lost", [-1, 1])
async def test_a_batch_with_too_few_outcomes_or_too_many_gives_none_of_them_to_another_path(lost: int) -> None:
    def forgetful(paths: Sequence[ScoredPath]) -> list[float]:
        found = [float(len(path.branch.text)) for path in paths]
        return (found * 2)[: len(found) - lost] if any(path.problem == "odd" for path in paths) else found

    batcher = MicroBatcher(CallableScorer(forgetful))
    calls = (values(batcher, path("a")), values(batcher, path("bb", problem="odd")), values(batcher, path("ccc")))
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [found[0], found[2]] == [[1.0], [3.0]]
    assert isinstance(found[1], ValueError)
    assert f"'forgetful' gave {1 - lost} outcomes for 1 paths" in str(found[1])


async def test_a_batch_is_cancelled_when_nobody_waits_for_it_any_more() -> None:
    slow = Slow()
    batcher = MicroBatcher(slow, under_way=1)
    tasks = [asyncio.create_task(values(batcher, path("a"))) for _ in range(2)]
    await eventually(lambda: slow.batches == [2])
    waiting = asyncio.create_task(values(batcher, path("b")))
    await asyncio.sleep(0)
    waiting.cancel()
    tasks[0].cancel()
    await asyncio.wait([tasks[0], waiting])
    assert slow.cancelled == 0
    tasks[1].cancel()
    await asyncio.wait(tasks)
    await eventually(lambda: slow.cancelled == 1)
    assert slow.batches == [2]  # the one that was waiting never went
