"""What `reproduce.sh` cost: `figures.py before RUN` when the servers are up, and `figures.py after RUN` at the end.

Tokens are the servers' own counts. The least is what they had to prefill for the same trees: on the policy all distinct
tokens of the prompts, and one for each further sample; on the reward server all distinct tokens of the paths that it
judged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ets_client import AsyncPolicyClient, Prefix
from ets_client.prefix import Origin
from ets_client.search import RewardFormat, RunFolder, least_prefill, load_run
from ets_client.search.evaluate import evaluate_run
from ets_client.search.journal import PaidQuestion, RunEntry, ScoresEntry, StepsEntry
from ets_client.search.journal.codec import decode_line
from ets_client.search.scorers.rendering import Renderer
from ets_client.server_info import ServerMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ets_client.search import LoadedQuestion
    from ets_client.search.journal import Entry

ROLES = ("policy", "reward")


@dataclass
class Paid:
    """What a run's journal says was paid for, session by session.

    Attributes:
        steps: samples that each session paid for.
        scores: scores that each session paid for.
        twice: samples and scores that were there when they were paid for.
    """

    steps: list[int] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)
    twice: int = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Paid:
        paid, seen = cls(), set[tuple[str, int, str]]()

        def once(kind: str, question: int, node: str) -> int:
            paid.twice += (kind, question, node) in seen
            seen.add((kind, question, node))
            return 1

        for entry in entries:
            match entry:
                case RunEntry():
                    paid.steps.append(0)
                    paid.scores.append(0)
                case StepsEntry():
                    for place in range(entry.first, entry.first + len(entry.steps)):
                        paid.steps[-1] += once("step", entry.question, f"{entry.parent}.{place}")
                case ScoresEntry():
                    paid.scores[-1] += sum(once("score", entry.question, node) for node in entry.nodes)
                case _:
                    pass
        return paid


def entries_of(run: Path) -> list[Entry]:
    return [decode_line(line) for line in RunFolder(run).journal.read_bytes().splitlines()]


def policy_least(entries: Iterable[Entry]) -> int:
    """Tokens that the policy server had to prefill."""
    lines: dict[int, list[Entry]] = {}
    for entry in entries:
        if not isinstance(entry, RunEntry):
            lines.setdefault(entry.question, []).append(entry)
    roots: list[Prefix] = []
    least = 0
    for question in map(PaidQuestion, lines.values()):
        if question.root is not None:
            root = Prefix(question.root.root_ids, question.root.root_text, origin=Origin("policy"))
            samples = sum(len(entry.steps) for entry in question.entries if isinstance(entry, StepsEntry))
            least += least_prefill(root, roots, samples)
            roots.append(root)
    return least


async def reward_least(client: AsyncPolicyClient, form: RewardFormat, questions: Iterable[LoadedQuestion]) -> int:
    """Tokens that the reward server had to prefill: all of its prompts, what they share counted once."""
    judged: list[tuple[str, Prefix]] = []
    for question in questions:
        prefixes: dict[str, Prefix] = {}
        for node in question.nodes.values():
            if node.parent is None:
                prefixes[node.id] = Prefix(node.token_ids, node.full_text, origin=Origin("policy"))
                continue
            prefixes[node.id] = prefixes[node.parent].child(node.token_ids, node.full_text)
            if node.score is not None:
                judged.append((question.problem, prefixes[node.id]))
    return distinct({tuple(path.token_ids) for path in await Renderer(client, form).paths(judged)})


def distinct(prompts: Iterable[tuple[int, ...]]) -> int:
    """Tokens of the radix tree that holds them."""
    tokens = 0
    before: tuple[int, ...] = ()
    for prompt in sorted(prompts):
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, prompt, strict=False)))
        tokens += len(prompt) - shared
        before = prompt
    return tokens


async def counted(run: Path) -> dict[str, ServerMetrics]:
    found = {}
    for role in ROLES:
        async with AsyncPolicyClient.from_endpoint(run / f"{role}.json", check_profile=False) as client:
            found[role] = await client.metrics()
    return found


async def before(run: Path) -> None:
    text = json.dumps({role: asdict(metrics) for role, metrics in (await counted(run)).items()})
    (run / "servers.json").write_text(text + "\n", encoding="utf-8")


async def after(run: Path) -> None:
    began = {role: ServerMetrics(**told) for role, told in json.loads((run / "servers.json").read_text()).items()}
    spent = {role: metrics.since(began[role]) for role, metrics in (await counted(run)).items()}
    loaded, entries = load_run(run), entries_of(run)
    async with AsyncPolicyClient.from_endpoint(run / "reward.json", check_profile=False) as client:
        form = RewardFormat.model_validate({"name": "of the run", **loaded.manifest["scorer"]["format"]})
        least = {
            "policy": policy_least(entries),
            "reward": await reward_least(client, form, loaded.questions.values()),
        }
    paid, graded = Paid.of(entries), evaluate_run(loaded, resamples=1000)
    parts = dict(line.split("\t") for line in (run / "parts.tsv").read_text(encoding="utf-8").splitlines())
    report: dict[str, Any] = {
        "seconds": {part: float(seconds) for part, seconds in parts.items()},
        **{
            role: {
                "prefilled": spent[role].prefilled_tokens,
                "least": least[role],
                "reused": spent[role].reused_tokens,
                "generated": spent[role].generated_tokens,
            }
            for role in ROLES
        },
        "steps": paid.steps,
        "scores": paid.scores,
        "paid_twice": paid.twice,
        "questions": len(graded.questions),
        "right": sum(bool(each.is_right) for each in graded.questions),
        "manifest": loaded.manifest,
    }
    (run / "figures.json").write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")
    show(report)


def show(report: dict[str, Any]) -> None:
    for part, seconds in report["seconds"].items():
        print(f"{part:36} {seconds:7.1f} s")
    print(f"\n{'server':8} {'prefilled':>9} {'least':>9} {'ratio':>7} {'reused':>9} {'generated':>9}")
    for role in ROLES:
        told = report[role]
        print(
            f"{role:8} {told['prefilled']:9,} {told['least']:9,} {told['prefilled'] / told['least']:7.3f} "
            f"{told['reused']:9,} {told['generated']:9,}"
        )
    (steps, later), (scores, later_scores) = report["steps"], report["scores"]
    print(
        f"\n{steps} steps and {scores} scores were paid for before the interruption, {later} and {later_scores} after "
        f"it; {report['paid_twice']} of them twice.\n"
        f"{report['right']} of {report['questions']} questions are right, as the run voted."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("when", choices=["before", "after"])
    parser.add_argument("run", type=Path)
    asked = parser.parse_args()
    asyncio.run(before(asked.run) if asked.when == "before" else after(asked.run))


if __name__ == "__main__":
    main()
