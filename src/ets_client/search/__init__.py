"""Tree searches on top of the client. The decisions are plain functions; the driver awaits expands between them."""

from .answers import find_answer, is_same_answer, weighted_vote
from .driver import RebaseSearch, SearchResult
from .events import LevelEnded, NodeAdded, SearchEnded, SearchEvent, SearchStarted, WidthAllocated
from .methods import rebase_allocation
from .prefill import least_prefill
from .questions import Question, load_questions
from .run import RunResult, search_all
from .tree import Node, SearchTree

__all__ = [
    "LevelEnded",
    "Node",
    "NodeAdded",
    "Question",
    "RebaseSearch",
    "RunResult",
    "SearchEnded",
    "SearchEvent",
    "SearchResult",
    "SearchStarted",
    "SearchTree",
    "WidthAllocated",
    "find_answer",
    "is_same_answer",
    "least_prefill",
    "load_questions",
    "rebase_allocation",
    "search_all",
    "weighted_vote",
]
