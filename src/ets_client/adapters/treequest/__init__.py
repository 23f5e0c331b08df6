"""SakanaAI's TreeQuest on a policy server: its algorithms ask, steps are sampled and scored, and they are told.

The extra ``ets-client[treequest]`` brings a TreeQuest that was tested.
"""

from .growth import Growth, Step, TrialsFailedError
from .search import TreeQuestSearch

__all__ = ["Growth", "Step", "TreeQuestSearch", "TrialsFailedError"]
