"""How good a run is, and what it cost."""

from importlib.util import find_spec

if find_spec("numpy") is None:
    _MISSING = 'ets_client.search.evaluate needs numpy: pip install "ets-client[search]"'
    raise ModuleNotFoundError(_MISSING, name="numpy")

from .candidates import Aggregation, Scale
from .costs import Costs
from .evaluation import Accuracy, Evaluation, Grader, QuestionEvaluation
from .export import export_answers
from .grade import evaluate_run
from .plot import plot_evaluations
from .rules import RULES, Rule
from .tables import write_tables
from .votes import Vote

__all__ = [
    "RULES",
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
    "export_answers",
    "plot_evaluations",
    "write_tables",
]
