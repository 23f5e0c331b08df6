"""How children are shared out: pure functions, each usable alone."""

from .allocation import beam_allocation, even_allocation, rebase_allocation
from .beam import Beam
from .best_of_n import BestOfN
from .clusters import Clusterer, TextClusters
from .dvts import Dvts
from .ets import Ets
from .kv import held_kv_tokens, published_kv_tokens
from .mcts import Mcts
from .mends import Mends, Variant
from .rebase import Rebase
from .selection import Selection, select_leaves
from .texts import CharNgrams, Embedder, SentenceEmbedder
from .view import Decision, JsonValue, Method, NodeState, NodeView, TreeView

__all__ = [
    "Beam",
    "BestOfN",
    "CharNgrams",
    "Clusterer",
    "Decision",
    "Dvts",
    "Embedder",
    "Ets",
    "JsonValue",
    "Mcts",
    "Mends",
    "Method",
    "NodeState",
    "NodeView",
    "Rebase",
    "Selection",
    "SentenceEmbedder",
    "TextClusters",
    "TreeView",
    "Variant",
    "beam_allocation",
    "even_allocation",
    "held_kv_tokens",
    "published_kv_tokens",
    "rebase_allocation",
    "select_leaves",
]
