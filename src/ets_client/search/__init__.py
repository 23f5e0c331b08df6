"""Tree searches on top of the client. The decisions are plain functions; the driver awaits expands between them."""

from .answers import find_answer, is_same_answer, weighted_vote
from .budget import Budget
from .driver import SearchResult, TreeSearch
from .events import LevelEnded, NodeAdded, SearchEnded, SearchEvent, SearchStarted, WidthAllocated
from .methods import Beam, BestOfN, Dvts, Ets, Rebase, rebase_allocation
from .options import SearchOptions
from .prefill import least_prefill
from .questions import Question, load_questions
from .run import RunResult, search_all
from .scorers import LogProb
from .tree import Node, SearchTree

__all__ = [
    "Beam",
    "BestOfN",
    "Budget",
    "Dvts",
    "Ets",
    "LevelEnded",
    "LogProb",
    "Node",
    "NodeAdded",
    "Question",
    "Rebase",
    "RunResult",
    "SearchEnded",
    "SearchEvent",
    "SearchOptions",
    "SearchResult",
    "SearchStarted",
    "SearchTree",
    "TreeSearch",
    "WidthAllocated",
    "find_answer",
    "is_same_answer",
    "least_prefill",
    "load_questions",
    "rebase_allocation",
    "search_all",
    "weighted_vote",
]
