"""What the tests of searches share: steps that a fake server writes, paths, and a journal in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ets_client import Branch, EndReason, Usage
from ets_client.search import Question, Rebase, SearchOptions, TreeSearch
from ets_client.search.journal import Entry, Paid, as_recorded
from ets_client.search.scorers import ScoredPath
from ets_client.testing import ScriptedModel
from tests.fakes import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import AsyncPolicyClient, Prefix
    from ets_client.search.methods import Method

QUESTION = Question(problem="How many are 5 and 7?", answer="12")


def search(client: AsyncPolicyClient, method: Method | None = None, scorer: Any = None, **options: Any) -> TreeSearch:
    """A search of the question, small enough for tests."""
    wanted = {"width": 8, "depth": 4, "seed": 11, **options}
    return TreeSearch(client, method or Rebase(), scorer, SearchOptions(**wanted))


async def by_length_soon(paths: Sequence[ScoredPath]) -> list[float]:
    """Scores that depend on the tokens alone."""
    return [1 / (1 + len(path.branch.token_ids) + sum(path.branch.token_ids) % 7) for path in paths]


def arithmetic(*answers: str) -> ScriptedModel:
    """Solutions of two steps and an answer, one after the other."""
    return ScriptedModel([f"Take {word} first.\n\nAdd {word} to it.\n\nThe answer is {word}" for word in answers])


def path(*steps: str, problem: str = "Why?", answer: str | None = None, multiplicity: int = 1) -> ScoredPath:
    """A path as a scorer gets it."""
    prefix: Prefix = root([ord(each) for each in problem])
    for step in steps:
        prefix = prefix.child([ord(each) for each in step], step)
    branch = Branch(steps[-1].strip(), (1,), prefix, EndReason.DELIMITER, "\n\n", "", Usage(), "rid")
    return ScoredPath(problem, prefix, branch, answer, multiplicity)


class MemoryJournal:
    """Keeps lines as a file would give them back. It can stop taking them, as a killed process does."""

    def __init__(self, entries: list[Entry] | None = None, *, most: int | None = None) -> None:
        self.entries = entries or []
        self.most = most

    async def append(self, entry: Entry) -> None:
        if self.most is not None and len(self.entries) >= self.most:
            raise KilledError
        self.entries.append(as_recorded(entry))

    @property
    def paid(self) -> Paid:
        return Paid.of(self.entries)


class KilledError(BaseException):
    """The process was killed here."""
