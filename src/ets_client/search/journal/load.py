"""A run read back as data: questions are read when they are looked at, so that a run may be larger than memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..loaded import LoadedRun
from .file import JournalFile
from .folder import RunFolder
from .garbage import without_collections
from .grow import load_question

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from ..children import TreeRules
    from ..loaded import LoadedQuestion

__all__ = ["load_run"]

_KEPT = 8  # questions; one of width 256 takes some 10 MB


class _Questions(Mapping[int, "LoadedQuestion"]):
    """The questions of a journal, in order of number; those looked at last are kept."""

    def __init__(self, file: JournalFile, rules: TreeRules) -> None:
        self._file = file
        self._rules = rules
        self._numbers = sorted(file)
        self._kept: OrderedDict[int, LoadedQuestion] = OrderedDict()

    def __getitem__(self, number: int) -> LoadedQuestion:
        if number not in self._kept:
            with without_collections():
                self._kept[number] = load_question(number, self._file[number], self._rules)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def __contains__(self, number: object) -> bool:
        return number in self._file

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def load_run(path: str | os.PathLike[str], *, cut: bool = False) -> LoadedRun:
    """Read a run's folder. Nothing is changed in it, and the run may still be going on.

    The journal is read once, to see where each question's lines are and that they are whole; a question becomes nodes
    when it is looked at. Going through ``run.questions.items()`` keeps few of them in memory.

    Args:
        path: the folder.
        cut: whether to go without all that follows a damaged line.

    Raises:
        JournalDamagedError: a line is damaged although good ones follow, and ``cut`` is False.
        JournalError: there is no run, or it cannot be read.
    """
    file = JournalFile(RunFolder(path).journal, cut=cut)
    rules = file.manifest().rules
    sessions = tuple(run.manifest for run in file.runs)
    return LoadedRun(sessions[0], _Questions(file, rules), file.index.cut, sessions)
