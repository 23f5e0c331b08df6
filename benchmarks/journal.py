"""What a run's journal costs: `python benchmarks/journal.py [OUT.json] [--questions 500]`.

A run of REBASE's shape is written with random steps of 50 tokens and 40 words: width 256, 8 levels, each shared out
over a quarter of the nodes above. Each part runs in a process of its own, so that its peak memory counts. `append` is
64 searches that each await a line of 4 samples and write the next; `resume` opens a run of 10,000 nodes of which no
question has ended, and searches on until all stand where they stood; `load` opens the large run, reads one question,
then all, one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from machine import where

from ets_client import AsyncPolicyClient
from ets_client.search import (
    CallableScorer,
    Question,
    Rebase,
    SearchOptions,
    TreeSearch,
    load_run,
    manifest_of,
    search_all,
)
from ets_client.search.children import TreeRules
from ets_client.search.journal import (
    DecisionEntry,
    EndEntry,
    QuestionEntry,
    RunFolder,
    ScoresEntry,
    StepEntry,
    StepsEntry,
)
from ets_client.search.journal.codec import encode_line
from ets_client.search.manifest import Manifest, QuestionSet, ServerRecord
from ets_client.testing import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ets_client.search import ScoredPath
    from ets_client.search.journal import Entry

RANDOM = random.Random(0)
WORDS = [f"{word} " for word in RANDOM.choices(["the", "sum", "of", "apples", "is", "therefore", "twelve"], k=10_000)]
IDS = RANDOM.choices(range(32_000), k=100_000)
NUMBERS = itertools.count()
TOKENS, LEVELS, KEPT_ONE_OF = 50, 8, 4
REQUEST = {"temperature": 1.0, "max_new_tokens": 256, "stop": ["\n\n"], "plan": "one batch of 4, the prefix is warm"}
MANIFEST = Manifest(
    method={"name": "rebase", "width": 256},
    rules=TreeRules(max_path_tokens=1024, answer=r"answer is (\d+)"),
    questions=QuestionSet(count=500, sha256=""),
    policy=ServerRecord(model="meta-llama/Llama-3.2-1B"),
)


def step(ending: str) -> StepEntry:
    place, word = RANDOM.randrange(len(IDS) - TOKENS), RANDOM.randrange(len(WORDS) - 40)
    text = "".join(WORDS[word : word + 40]) + ending
    rid = f"{RANDOM.getrandbits(96):024x}"
    ids = [*IDS[place : place + TOKENS - 1], next(NUMBERS)]  # no two are alike: doubles would not be nodes
    return StepEntry(ids, text, text + "\n\n", "delimiter", rid, "\n\n", "", 400, 350, TOKENS)


def question(number: int, width: int, *, ends: bool) -> Iterator[Entry]:
    """The lines of one search."""
    yield QuestionEntry(number, "How many apples?" * 10, IDS[:200], "How many apples?" * 20, "12", 7)
    level = ["r"]
    for depth in range(LEVELS):
        share = width // len(level)
        yield DecisionEntry(number, depth, depth, [(node, share) for node in level])
        below: list[str] = []
        for node in level:
            steps = [step("the answer is 12" if depth == LEVELS - 1 else "") for _ in range(share)]
            yield StepsEntry(number, node, 0, steps, {**REQUEST, "seed": RANDOM.getrandbits(40)}, 1.0, number + depth)
            names = [f"{node}.{place}" for place in range(share)]
            yield ScoresEntry(number, names, [RANDOM.random() for _ in names], prompt=400 * share, cached=350 * share)
            below += names
        level = RANDOM.sample(below, max(1, len(below) // KEPT_ONE_OF))
    if ends:
        yield EndEntry(number, "12", "done", 60.0)


def write(path: Path, questions: int, width: int, *, ends: bool, manifest: Manifest = MANIFEST) -> int:
    """Write a run; its nodes."""
    folder, nodes = RunFolder(path), 0
    folder.begin(manifest).journal.shut().result()
    with folder.journal.open("ab") as file:
        for number in range(questions):
            for entry in question(number, width, ends=ends):
                file.write(encode_line(entry))
                nodes += len(entry.steps) if isinstance(entry, StepsEntry) else 0
    return nodes


def peak_mb() -> float:
    # Not getrusage: that begins with the size of the process which started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def append(path: Path) -> dict[str, object]:
    entries = [StepsEntry(n, "r", 0, [step("") for _ in range(4)], REQUEST) for n in range(64)]
    waits: list[float] = []
    async with RunFolder(path).begin(MANIFEST) as run:

        async def search(entry: Entry) -> None:
            for _ in range(200):
                start = time.perf_counter()
                await run.journal.append(entry)
                waits.append(time.perf_counter() - start)

        begin, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(search(entry) for entry in entries))
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    waits.sort()
    return {
        "lines": len(waits),
        "bytes a line": len(encode_line(entries[0])),
        "lines a second": round(len(waits) / seconds),
        "microseconds of CPU a line, both threads": round(1e6 * cpu / len(waits), 1),
        "milliseconds until a line is in the file, median": round(1e3 * statistics.median(waits), 2),
        "milliseconds until a line is in the file, 99 of 100": round(1e3 * waits[len(waits) * 99 // 100], 2),
    }


async def resume(path: Path) -> dict[str, object]:
    questions = [Question(problem="How many apples?", answer="12")] * 5
    async with FakeServer() as server, AsyncPolicyClient(server.base_url, profile="tiny") as client:
        search = TreeSearch(client, Rebase(), CallableScorer(refuse), SearchOptions(width=256, depth=LEVELS))
        manifest = manifest_of(search, questions)
        nodes = write(path, len(questions), 256, ends=False, manifest=manifest)
        before, asked = peak_mb(), server.count("/generate")
        start, cpu = time.perf_counter(), time.process_time()
        async with RunFolder(path).resume(manifest) as run:
            opened = time.perf_counter() - start
            found = await search_all(search, questions, run=run)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        assert server.count("/generate") == asked
    assert sum(result.samples for result in found.results.values()) == nodes
    return {
        "nodes": nodes,
        "seconds to open": round(opened, 3),
        "seconds until all searches stand where they stood": round(seconds, 2),
        "seconds of CPU until then": round(cpu, 2),
        "peak MB more than before": round(peak_mb() - before),
    }


async def refuse(paths: Sequence[ScoredPath]) -> list[float]:
    raise AssertionError(f"{len(paths)} paths are scored again")


def load(path: Path) -> dict[str, object]:
    start, cpu = time.perf_counter(), time.process_time()
    run = load_run(path)
    opened, opened_cpu = time.perf_counter() - start, time.process_time() - cpu
    opened_mb = peak_mb()
    cpu = time.process_time()
    nodes = len(run.questions[0].nodes)
    one = time.process_time() - cpu
    one_mb = peak_mb()
    cpu, total = time.process_time(), 0
    for each in run.questions.values():
        total += len(each.nodes)
    every = time.process_time() - cpu
    return {
        "questions": len(run.questions),
        "nodes": total,
        "nodes of a question": nodes,
        "MB of the journal": round((path / "journal.jsonl").stat().st_size / 1e6),
        "seconds to open": round(opened, 2),
        "seconds of CPU to open": round(opened_cpu, 2),
        "milliseconds of CPU to read a question": round(1e3 * one),
        "seconds of CPU to read all": round(every, 1),
        "microseconds of CPU a node": round(1e6 * every / total, 1),
        "peak MB, opened": round(opened_mb),
        "peak MB, one read": round(one_mb),
        "peak MB, all read one by one": round(peak_mb()),
    }


def apart(part: str, path: Path) -> object:
    command = [sys.executable, __file__, "--part", part, "--path", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--part", choices=["append", "resume", "load"])
    parser.add_argument("--path", type=Path)
    given = parser.parse_args()
    if given.part == "append":
        print(json.dumps(asyncio.run(append(given.path))))
    elif given.part == "resume":
        print(json.dumps(asyncio.run(resume(given.path))))
    elif given.part == "load":
        print(json.dumps(load(given.path)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            write(path / "large", given.questions, 256, ends=True)
            found = {
                "append": apart("append", path / "append"),
                "resume": apart("resume", path / "resume"),
                "load": apart("load", path / "large"),
            }
        text = json.dumps(where("journal") | found, indent=1)
        print(text)
        if given.out is not None:
            given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
