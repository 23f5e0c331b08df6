"""`kill -9` at any moment: a run of 40 questions on a fake server is killed 50 times, and ends as if nothing had been.

The server and the run are processes of their own. Sessions of the run are forked from one process that has imported all
of it, so that they are killed while they work and not while they import.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from ets_client import AsyncPolicyClient, Profile, Usage, load_profile
from ets_client.search import (
    Question,
    SearchOptions,
    TreeSearch,
    manifest_of,
    search_all,
)
from ets_client.search.journal import DecisionEntry, RunFolder, ScoresEntry, StepsEntry, load_run
from ets_client.search.journal.file import JournalFile
from ets_client.search.methods import Rebase
from ets_client.search.replay import replay
from ets_client.search.scorers import PathScore, Scorer
from ets_client.testing import Costs, FakeOptions, FakeServer, SeededModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from ets_client.search import LoadedQuestion
    from ets_client.search.options import Barrier
    from ets_client.search.scorers import ScoredPath

QUESTIONS = [Question(problem=f"{number} + {number % 7}?", answer="a") for number in range(40)]
SECONDS = 60.0  # longest wait for anything


def profile() -> Profile:
    tiny = load_profile("tiny")
    assert tiny.answer is not None
    # The fake's text is noise: what stands before a q counts as an answer.
    return tiny.model_copy(update={"model": None, "answer": tiny.answer.model_copy(update={"pattern": "([a-e])q"})})


class Hashing(Scorer):
    """A reward server that takes its time, in which the run may be killed, and a token for each path."""

    name = "hashing"

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore]:
        await asyncio.sleep(0.002)
        return [PathScore(crc32(path.prefix.text.encode()) / 2**32, Usage(prompt_tokens=1)) for path in paths]


def searching(client: AsyncPolicyClient, barrier: Barrier) -> TreeSearch:
    return TreeSearch(client, Rebase(), Hashing(), SearchOptions(width=8, depth=5, seed=3, barrier=barrier))


def serve(to_test: Connection, costs: Costs) -> None:
    async def run() -> None:
        options = FakeOptions(enable_deterministic_inference=True, max_total_tokens=2**20)
        async with FakeServer(options, model=SeededModel(text_end=0.05, line_end=0.2), costs=costs) as server:
            to_test.send(server.base_url)
            await asyncio.to_thread(to_test.recv)

    asyncio.run(run())


def session(url: str, folder: str, barrier: Barrier, count: int, to_test: Connection) -> None:
    """One process of the run: begins it or goes on with it, to its end."""

    async def run() -> None:
        async with AsyncPolicyClient(url, profile()) as client:
            search = searching(client, barrier)
            questions = QUESTIONS[:count]
            async with RunFolder(folder).resume(manifest_of(search, questions)) as opened:
                to_test.send("resumed")
                await search_all(search, questions, at_once=8, run=opened)

    asyncio.run(run())


@pytest.fixture(scope="module")
def processes() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@pytest.fixture(scope="module")
def server(processes: Any) -> Iterator[str]:
    here, there = processes.Pipe()
    process = processes.Process(target=serve, args=(there, Costs(decode_step=0.001, step=0.0005)), daemon=True)
    process.start()
    assert here.poll(SECONDS)
    yield here.recv()
    here.send("stop")
    process.join(SECONDS)
    assert process.exitcode == 0


@dataclass
class Killed:
    """What happened to the sessions of a run."""

    kills: int = 0
    at_work: int = 0  # of these, with something new in the journal
    torn: int = 0
    before_the_last: float = 0.0  # how much of the run was done, about


def kill_at_random(
    processes: Any, url: str, folder: Path, barrier: Barrier, count: int, kills: int, size: int
) -> Killed:
    """Sessions that are killed, and a last one that is left alone.

    Each is killed when it has written a random amount, so that the run is not over before its last kill, however fast
    the machine is; half of them at a random time at the latest, and so at times before they have written anything.

    Args:
        processes: makes them.
        url: of the server.
        folder: of the run.
        barrier: of the search.
        count: of questions.
        kills: how many.
        size: bytes that the journal of the whole run will have, about.
    """
    rng, killed, journal = random.Random(7), Killed(), folder / "journal.jsonl"

    def written() -> int:
        return journal.stat().st_size if journal.exists() else 0

    for _ in range(kills):
        here, there = processes.Pipe()
        process = processes.Process(target=session, args=(url, str(folder), barrier, count, there))
        process.start()
        there.close()
        if rng.random() < 0.8:  # else it may be killed before it has opened the journal
            assert here.poll(SECONDS)
        before, seconds = written(), rng.choice([rng.uniform(0.0, 0.35), SECONDS])
        most, until = before + rng.uniform(0.0, 1.4) * size / kills, time.monotonic() + seconds
        while process.is_alive() and written() < most and time.monotonic() < until:
            process.join(0.002)
        assert process.exitcode is None, "it was over, or failed, before it was killed"
        os.kill(process.pid, signal.SIGKILL)
        process.join(SECONDS)
        killed.kills += 1
        killed.at_work += written() > before
        killed.torn += written() > 0 and not journal.read_bytes().endswith(b"\n")
    killed.before_the_last = written() / size
    here, there = processes.Pipe()
    last = processes.Process(target=session, args=(url, str(folder), barrier, count, there))
    last.start()
    last.join(SECONDS)
    assert last.exitcode == 0
    return killed


def paid_twice(folder: Path) -> tuple[list[object], list[object], list[object]]:
    """Samples, scores and decisions that are in the journal more than once."""
    file = JournalFile(folder / "journal.jsonl")
    samples, scores, decisions = Counter[object](), Counter[object](), Counter[object]()
    for number, entries in file.items():
        steps: dict[str, tuple[int, ...]] = {}
        for entry in entries:
            if isinstance(entry, StepsEntry):
                for place, step in enumerate(entry.steps, start=entry.first):
                    samples[number, entry.parent, place] += 1
                    steps[f"{entry.parent}.{place}"] = tuple(step.ids)
            elif isinstance(entry, ScoresEntry) and entry.prompt:
                # Samples of one parent that came out alike are paid for once; a line that shares their score is free.
                scores.update((number, node.rpartition(".")[0], steps[node]) for node in entry.nodes)
            elif isinstance(entry, DecisionEntry):
                decisions[number, entry.turn] += 1
    one, two, three = ([each for each, times in of.items() if times > 1] for of in (samples, scores, decisions))
    return one, two, three


def journal_bytes(folder: Path) -> int:
    return (folder / "journal.jsonl").stat().st_size


def nodes_of(question: LoadedQuestion) -> list[tuple[str, tuple[int, ...], float | None]]:
    """All but the root, in order of number."""
    return [(node.id, node.token_ids, node.score) for node in question.nodes.values()][1:]


async def undisturbed(folder: Path, barrier: Barrier, count: int) -> dict[int, str | None]:
    """The answers of a run that nothing happens to, on a server that takes no time."""
    options = FakeOptions(enable_deterministic_inference=True, max_total_tokens=2**20)
    async with (
        FakeServer(options, model=SeededModel(text_end=0.05, line_end=0.2)) as server,
        AsyncPolicyClient(server.base_url, profile()) as client,
    ):
        search = searching(client, barrier)
        async with RunFolder(folder).begin(manifest_of(search, QUESTIONS[:count])) as run:
            result = await search_all(search, QUESTIONS[:count], at_once=8, run=run)
    return {number: each.answer for number, each in result.results.items()}


async def test_a_run_that_is_killed_fifty_times_ends_as_if_nothing_had_been(
    processes: Any, server: str, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "killed", tmp_path / "undisturbed"
    expected = await undisturbed(whole, "level", 40)
    killed = await asyncio.to_thread(kill_at_random, processes, server, folder, "level", 40, 50, journal_bytes(whole))
    assert killed.at_work >= 10, killed
    assert paid_twice(folder) == ([], [], [])
    run = load_run(folder)
    assert {number: each.answer for number, each in run.questions.items()} == expected
    for number, each in load_run(whole).questions.items():
        assert nodes_of(run.questions[number]) == nodes_of(each)
    replayed = [each async for each in replay(folder, Rebase())]
    assert [each.number for each in replayed if each.difference or each.records_end] == []
    assert {each.number: each.answer for each in replayed} == expected
    assert [len(each.decisions) for each in replayed] == [len(each.decisions) for each in run.questions.values()]


async def test_without_a_barrier_nothing_is_paid_twice_and_all_decisions_are_those_of_the_method(
    processes: Any, server: str, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "killed", tmp_path / "undisturbed"
    await undisturbed(whole, "none", 12)
    killed = await asyncio.to_thread(kill_at_random, processes, server, folder, "none", 12, 12, journal_bytes(whole))
    assert killed.at_work >= 3, killed
    assert paid_twice(folder) == ([], [], [])
    run = load_run(folder)
    replayed = [each async for each in replay(folder, Rebase())]
    assert [each.number for each in replayed if each.difference or each.records_end] == []
    for each in replayed:
        assert each.answer == run.questions[each.number].answer
        assert [(node.id, node.prefix.step_token_ids, node.score) for node in each.tree][1:] == nodes_of(
            run.questions[each.number]
        )
