"""How good a run is, and what it cost."""

from .candidates import Aggregation, Scale
from .costs import Costs
from .evaluation import Accuracy, Evaluation, Grader, QuestionEvaluation, evaluate_run
from .rules import Rule
from .votes import Vote

__all__ = [
    "Accuracy",
    "Aggregation",
    "Costs",
    "Evaluation",
    "Grader",
    "QuestionEvaluation",
    "Rule",
    "Scale",
    "Vote",
    "evaluate_run",
]
