"""What the tests of searches share: steps that a fake server writes, paths, and a journal in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ets_client import Branch, EndReason, Usage
from ets_client.search.journal import Entry, Paid, as_recorded
from ets_client.search.scorers import ScoredPath
from ets_client.testing import ScriptedModel
from tests.fakes import root

if TYPE_CHECKING:
    from ets_client import Prefix


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
