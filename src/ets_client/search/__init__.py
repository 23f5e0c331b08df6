"""Tree searches on top of the client. The decisions are plain functions; the driver awaits expands between them."""

from .answers import find_answer, is_same_answer, weighted_vote
from .driver import RebaseSearch, SearchResult
from .events import LevelEnded, NodeAdded, SearchEnded, SearchEvent, SearchStarted, WidthAllocated
from .methods import (
    Beam,
    BestOfN,
    CharNgrams,
    Clusterer,
    Decision,
    Dvts,
    Embedder,
    Ets,
    Mcts,
    Mends,
    Method,
    NodeState,
    NodeView,
    Rebase,
    SentenceEmbedder,
    TextClusters,
    TreeView,
    held_kv_tokens,
    published_kv_tokens,
    rebase_allocation,
    select_leaves,
)
from .prefill import least_prefill
from .questions import Question, load_questions
from .run import RunResult, search_all
from .tree import Node, SearchTree

__all__ = [
    "Beam",
    "BestOfN",
    "CharNgrams",
    "Clusterer",
    "Decision",
    "Dvts",
    "Embedder",
    "Ets",
    "LevelEnded",
    "Mcts",
    "Mends",
    "Method",
    "Node",
    "NodeAdded",
    "NodeState",
    "NodeView",
    "Question",
    "Rebase",
    "RebaseSearch",
    "RunResult",
    "SearchEnded",
    "SearchEvent",
    "SearchResult",
    "SearchStarted",
    "SearchTree",
    "SentenceEmbedder",
    "TextClusters",
    "TreeView",
    "WidthAllocated",
    "find_answer",
    "held_kv_tokens",
    "is_same_answer",
    "least_prefill",
    "load_questions",
    "published_kv_tokens",
    "rebase_allocation",
    "search_all",
    "select_leaves",
    "weighted_vote",
]
