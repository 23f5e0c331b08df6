"""The append-only record of a run."""

from .codec import as_recorded
from .entries import (
    AFTER,
    DecisionEntry,
    EndEntry,
    Entry,
    QuestionEntry,
    RunEntry,
    ScoresEntry,
    StepEntry,
    StepsEntry,
)
from .errors import JournalDamagedError, JournalError, JournalLockedError, JournalWriteError
from .folder import OpenRun, RunFolder
from .load import load_run
from .paid import MISSING, Missing, Paid, PaidQuestion
from .steps import branch_of, root_of, step_entry_of, usage_of
from .writer import Journal

__all__ = [
    "AFTER",
    "MISSING",
    "DecisionEntry",
    "EndEntry",
    "Entry",
    "Journal",
    "JournalDamagedError",
    "JournalError",
    "JournalLockedError",
    "JournalWriteError",
    "Missing",
    "OpenRun",
    "Paid",
    "PaidQuestion",
    "QuestionEntry",
    "RunEntry",
    "RunFolder",
    "ScoresEntry",
    "StepEntry",
    "StepsEntry",
    "as_recorded",
    "branch_of",
    "load_run",
    "root_of",
    "step_entry_of",
    "usage_of",
]
