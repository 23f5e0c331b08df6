"""ETS with a reward model on a server of its own, against the same search without scoring: is scoring overlapped?

    python benchmarks/search.py http://127.0.0.1:30000 http://127.0.0.1:30001 --profile P --widths 16 64 256

Every width is searched by ETS with rewards, by ETS with scores that cost nothing (a hash of the step), and by REBASE
with rewards, in this order, each round. Given the policy alone, the reward model's part is left out. Tokens are the
servers' own counts (``/metrics``). The reward server's least is each token of its paths once, and each label.

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
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from machine import resident_mb
from watched import Watched

from ets_client import AsyncPolicyClient, SamplingParams
from ets_client.search import CallableScorer, Ets, Question, Rebase, RewardServer, SearchOptions, TreeSearch, search_all
from ets_client.search.scorers import RewardFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import Prefix
    from ets_client.search import Method, Scorer
    from ets_client.search.scorers import ScoredPath


@dataclass
class Row:
    width: int
    round: int
    method: str
    scores: str
    seconds: float
    tokens_per_second: float
    samples: int
    failed: int
    policy_prefilled: int
    reward_prefilled: int | None
    reward_prefilled_over_least: float | None
    held_kv_mean: float
    published_kv_mean: float
    client_mb: float
    client_cpu: float


class Counted(RewardServer):
    """A reward server, and the least that it has to compute: each token of the paths once, and each label."""

    least = 0

    def __init__(self, client: AsyncPolicyClient, form: RewardFormat) -> None:
        super().__init__(client, form)
        self._seen: set[object] = set()
        ask = client.label_probs

        async def count(prefixes: Sequence[Prefix], labels: Any, **more: Any) -> Any:
            for prefix in prefixes:
                for part in prefix.path:
                    if part.fingerprint not in self._seen:
                        self._seen.add(part.fingerprint)
                        self.least += len(part.step_token_ids)
                for label in labels:
                    if (prefix.fingerprint, label) not in self._seen:
                        self._seen.add((prefix.fingerprint, label))
                        self.least += 1
            return await ask(prefixes, labels, **more)

        client.label_probs = count  # type: ignore[method-assign]


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


async def measure(asked: argparse.Namespace, width: int, number: int, report: dict[str, Any]) -> None:
    questions = questions_of(asked.questions, asked.words)
    options = SearchOptions(
        width=width, depth=asked.depth, sampling=SamplingParams(max_new_tokens=asked.step, ignore_eos=True)
    )
    kinds: list[tuple[Method, bool]] = [(Ets(), False)]
    if asked.reward:
        kinds = [(Ets(), True), (Ets(), False), (Rebase(), True)]
    for method, is_rewarded in kinds:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            policy = await enter(
                AsyncPolicyClient(
                    asked.policy, asked.profile, connections=4096, check_profile=False, admission="adaptive"
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
            prefilled = run.reward_metrics.prefilled_tokens if run.reward_metrics is not None else None
            generated = sum(result.usage.completion_tokens for result in run.results.values())
            least = scorer.least if isinstance(scorer, Counted) else 0
            row = Row(
                width, number, method.name, "reward server" if is_rewarded else "free", seconds, generated / seconds,
                sum(result.samples for result in run.results.values()), run.failed,
                run.metrics.prefilled_tokens, prefilled, prefilled / least if prefilled and least else None,
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
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--step", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--machine", default=platform.platform())
    parser.add_argument("--out", type=Path, default=Path("search.json"))
    asked = parser.parse_args()
    settings = {key: value for key, value in vars(asked).items() if key not in {"out", "policy", "reward", "machine"}}
    report: dict[str, Any] = {
        "machine": asked.machine, "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
        "settings": settings, "rows": [],
    }  # fmt: skip
    for width in asked.widths:
        for number in range(asked.rounds):
            asyncio.run(measure(asked, width, number, report))


if __name__ == "__main__":
    main()
