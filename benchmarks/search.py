"""ETS with a reward model on a server of its own, against the same search without scoring: is scoring overlapped?

    python benchmarks/search.py http://127.0.0.1:30000 http://127.0.0.1:30001 --profile P --widths 16 64 256

Every width is searched by ETS without and with the reward server, in turn, ``--rounds`` times each, and once by REBASE
with it. All weigh their steps by the same hash of the text, so that they are the same search: random weights judge all
steps alike. A score that the reward server has to give is awaited before it is replaced. Given the policy alone, the
reward server's part is left out.

Random weights write no delimiters either. The lengths of steps are drawn here, the same for every search of a width:
exponential with the mean ``--step``, cut at 4 times, or ``fixed``, the worst case: all trees decode and are scored in
lock step.

Tokens are the servers' own counts (``/metrics``). The reward server's least is each token of its paths once.

KV is in tokens, the mean over all decisions: ``held`` is what the kept paths need, prompt included; ``published`` is
ETS's own figure.

Both servers are flushed before each search: give it servers that are yours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import resource
import statistics
import time
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from lengths import MOST, by_level, chosen
from machine import resident_mb
from watched import Watched

from ets_client import AsyncPolicyClient, SamplingParams, ScoreFailure
from ets_client.search import CallableScorer, Ets, Question, Rebase, RewardServer, SearchOptions, TreeSearch, search_all
from ets_client.search.scorers import PathScore, RewardFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import Prefix
    from ets_client.search import Method, Scorer
    from ets_client.search.scorers import ScoredPath


@dataclass
class Row:
    width: int
    lengths: str
    round: int
    method: str
    scores: str
    seconds: float
    tokens_per_second: float
    samples: int
    policy_prefilled: int
    reward_prefilled: int | None
    reward_prefilled_over_least: float | None
    score_p50: float | None
    score_p90: float | None
    held_kv_mean: float
    published_kv_mean: float
    client_mb: float
    client_cpu: float


class Counted(RewardServer):
    """A reward server whose scores are replaced, and the least that it has to compute: each token of the paths once."""

    least = 0

    def __init__(self, client: AsyncPolicyClient, form: RewardFormat) -> None:
        super().__init__(client, form)
        self.waits: list[float] = []
        self._seen: set[object] = set()
        ask = client.label_choices

        async def count(prefixes: Sequence[Prefix], labels: Any, **more: Any) -> Any:
            for prefix in prefixes:
                for part in prefix.path:
                    if part.fingerprint not in self._seen:
                        self._seen.add(part.fingerprint)
                        self.least += len(part.step_token_ids)
            return await ask(prefixes, labels, **more)

        client.label_choices = count  # type: ignore[method-assign]

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
        start = time.perf_counter()
        outcomes = await super().score(paths)
        self.waits.append(time.perf_counter() - start)
        pairs = zip(outcomes, await hashed(paths), strict=True)
        return [each if isinstance(each, ScoreFailure) else PathScore(value) for each, value in pairs]


async def hashed(paths: Sequence[ScoredPath]) -> list[float]:
    """Scores that differ from step to step and cost nothing."""
    return [crc32(path.branch.text.encode()) / 2**32 for path in paths]


def questions_of(count: int, words: int) -> list[Question]:
    chance = random.Random(7)
    return [
        Question(problem=" ".join(str(chance.randrange(10_000)) for _ in range(words)), answer="1")
        for _ in range(count)
    ]


async def search_once(
    policy: AsyncPolicyClient, scorer: Scorer, method: Method, questions: list[Question], options: SearchOptions
) -> tuple[Any, Watched, float, float]:
    watched = Watched(method)
    before, start = cpu(), time.perf_counter()
    run = await search_all(TreeSearch(policy, watched, scorer, options), questions, at_once=len(questions))
    return run, watched, time.perf_counter() - start, cpu() - before


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(
    asked: argparse.Namespace,
    kinds: Sequence[tuple[Method, bool]],
    width: int,
    lengths: str,
    number: int,
    report: dict[str, Any],
) -> None:
    questions = questions_of(asked.questions, asked.words)
    # No stop strings: the server would look for them after every token.
    longest = asked.step if lengths == "fixed" else MOST * asked.step
    sampling = SamplingParams(max_new_tokens=longest, ignore_eos=True, stop=())
    options = SearchOptions(
        width=width,
        depth=asked.depth,
        barrier=asked.barrier,
        sampling=sampling,
        max_path_tokens=(asked.depth + 1) * longest,  # no path ends by its length
    )
    for method, is_rewarded in kinds:
        async with AsyncExitStack() as stack:
            stack.enter_context(nullcontext() if lengths == "fixed" else chosen(by_level(asked.step)))
            enter = stack.enter_async_context
            policy = await enter(
                AsyncPolicyClient(
                    asked.policy,
                    asked.profile,
                    connections=4096,
                    check_profile=False,
                    admission=asked.admission,
                    departure_interval=asked.departures,
                )
            )
            await policy.flush_cache()
            scorer: Scorer = CallableScorer(hashed)
            if is_rewarded:
                reward = await enter(
                    AsyncPolicyClient(asked.reward, asked.reward_profile or asked.profile, check_profile=False)
                )
                await reward.flush_cache()
                scorer = Counted(reward, reward_format(asked.labels))
            run, watched, seconds, used = await search_once(policy, scorer, method, questions, options)
            if failed := [result.error for result in run.results.values() if result.error is not None]:
                raise failed[0]
            prefilled = run.reward_metrics.prefilled_tokens if run.reward_metrics is not None else None
            generated = sum(result.usage.completion_tokens for result in run.results.values())
            least, waits = (scorer.least, scorer.waits) if isinstance(scorer, Counted) else (0, [])
            cuts = statistics.quantiles(waits, n=10) if len(waits) > 1 else [None] * 9
            row = Row(
                width, lengths, number, method.name, "reward server" if is_rewarded else "free", seconds,
                generated / seconds, sum(result.samples for result in run.results.values()),
                run.metrics.prefilled_tokens, prefilled, prefilled / least if prefilled and least else None,
                cuts[4], cuts[8],
                statistics.fmean(level.held for level in watched.levels),
                statistics.fmean(level.published for level in watched.levels), resident_mb(), used,
            )  # fmt: skip
        report["rows"].append(asdict(row))
        print(json.dumps(asdict(row)), flush=True)
        asked.out.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")


def reward_format(labels: list[int]) -> RewardFormat:
    return RewardFormat(
        name="benchmark", reads="label_probs", begin="{problem}\n", first_step="{step}\n", next_step="{step}\n",
        label_ids=(labels[0], labels[1]),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("reward", nargs="?")
    parser.add_argument("--profile")
    parser.add_argument("--reward-profile")
    parser.add_argument("--labels", type=int, nargs=2, default=[10, 12])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--barrier", choices=("level", "none"), default="level")
    parser.add_argument("--admission", type=lambda text: int(text) if text.isdigit() else text, default="adaptive")
    parser.add_argument("--departures", type=float, help="seconds between them (departure_interval)")
    parser.add_argument("--step", type=int, default=48, help="mean tokens of a step")
    parser.add_argument("--lengths", nargs="+", choices=("exponential", "fixed"), default=["exponential", "fixed"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rebase", action=argparse.BooleanOptionalAction, default=True, help="REBASE too, for its KV")
    parser.add_argument("--machine", default=platform.platform())
    parser.add_argument("--out", type=Path, default=Path("search.json"))
    asked = parser.parse_args()
    settings = {key: value for key, value in vars(asked).items() if key not in {"out", "policy", "reward", "machine"}}
    report: dict[str, Any] = {
        "machine": asked.machine, "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
        "settings": settings, "rows": [],
    }  # fmt: skip
    pair: list[tuple[Method, bool]] = [(Ets(), False), (Ets(), True)][: 2 if asked.reward else 1]
    for width in asked.widths:
        for lengths in asked.lengths:
            for number in range(asked.rounds):
                # In turn, so that a server that grows slower or faster favours neither.
                asyncio.run(measure(asked, pair[:: -1 if number % 2 else 1], width, lengths, number, report))
            if asked.reward:
                tell_ratio(report, width, lengths, asked.out)
        if asked.rebase:
            asyncio.run(measure(asked, [(Rebase(), bool(asked.reward))], width, asked.lengths[0], 0, report))


def tell_ratio(report: dict[str, Any], width: int, lengths: str, out: Path) -> None:
    """Tokens a second with the reward server over those without, medians over the rounds."""
    speeds: dict[str, list[float]] = {}
    for row in report["rows"]:
        if (row["width"], row["lengths"], row["method"]) == (width, lengths, "ets"):
            speeds.setdefault(row["scores"], []).append(row["tokens_per_second"])
    ratio = statistics.median(speeds["reward server"]) / statistics.median(speeds["free"])
    report.setdefault("ratios", []).append({"width": width, "lengths": lengths, "rewarded_over_free": ratio})
    print(f"width {width}, {lengths} lengths: {ratio:.3f} of the tokens/s without scoring", flush=True)
    out.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
