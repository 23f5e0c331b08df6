"""Tree searches on top of the client. The decisions are plain functions; the driver awaits expands between them."""

from .answers import find_answer, is_same_answer, weighted_vote
from .driver import RebaseSearch, SearchResult
from .events import LevelEnded, NodeAdded, SearchEnded, SearchEvent, SearchStarted, WidthAllocated
from .journal import (
    JournalDamagedError,
    JournalError,
    JournalLockedError,
    JournalWriteError,
    OpenRun,
    RunFolder,
    load_run,
)
from .loaded import LoadedDecision, LoadedNode, LoadedQuestion, LoadedRun
from .manifest import Difference, Manifest, differences
from .prefill import least_prefill
from .questions import Question, load_questions
from .rebase import rebase_allocation
from .run import RunResult, search_all
from .tree import Node, SearchTree

__all__ = [
    "Difference",
    "JournalDamagedError",
    "JournalError",
    "JournalLockedError",
    "JournalWriteError",
    "LevelEnded",
    "LoadedDecision",
    "LoadedNode",
    "LoadedQuestion",
    "LoadedRun",
    "Manifest",
    "Node",
    "NodeAdded",
    "OpenRun",
    "Question",
    "RebaseSearch",
    "RunFolder",
    "RunResult",
    "SearchEnded",
    "SearchEvent",
    "SearchResult",
    "SearchStarted",
    "SearchTree",
    "WidthAllocated",
    "differences",
    "find_answer",
    "is_same_answer",
    "least_prefill",
    "load_questions",
    "load_run",
    "rebase_allocation",
    "search_all",
    "weighted_vote",
]
