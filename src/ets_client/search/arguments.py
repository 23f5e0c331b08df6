"""Whether what a search is made of is what it should be: a wrong part would fail much later, in each question anew."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, cast

from ..client import AsyncPolicyClient
from ..errors import ConfigurationError
from .methods import Decision
from .options import SearchOptions
from .questions import Question

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_decision", "check_parts", "check_question"]


def check_parts(client: object, method: object, scorer: object, options: object) -> None:
    """Check the parts of a search.

    Args:
        client: of the policy.
        method: who decides.
        scorer: who scores, or None.
        options: width, depth and the like, or None.

    Raises:
        ConfigurationError: one of them is something else.
    """
    if not isinstance(client, AsyncPolicyClient):
        raise ConfigurationError(f"client = {client!r}: an open AsyncPolicyClient")
    if not _has(method, "decide"):
        raise ConfigurationError(
            f"method = {_told(method)}: an object with `name` and `decide`, such as Rebase() or Ets(lambda_s=1.0)"
        )
    if inspect.iscoroutinefunction(getattr(method, "decide", None)):
        raise ConfigurationError(
            f"method = {_told(method)}: its `decide` must not be async, so that it can be replayed"
        )
    if isinstance(scorer, SearchOptions):
        raise ConfigurationError("scorer = SearchOptions(...): give the options by name, `options=SearchOptions(...)`")
    if scorer is not None and not (_has(scorer, "score") and _has(scorer, "weight")):
        instead = "CallableScorer(...) around a function" if callable(scorer) else "such as RewardServer(client)"
        raise ConfigurationError(f"scorer = {_told(scorer)}: an object derived from Scorer, {instead}, or None")
    if options is not None and not isinstance(options, SearchOptions):
        raise ConfigurationError(f"options = {_told(options)}: SearchOptions(...), or None")


def check_question(question: object) -> None:
    """Check that it is one.

    Raises:
        ConfigurationError: it is something else, a text for example.
    """
    if not isinstance(question, Question):
        raise ConfigurationError(f"question = {_told(question)}: Question(problem=...)")


def check_decision(decision: object, by: str) -> Decision:
    """Check what a method said.

    Args:
        decision: the method's.
        by: the method's name.

    Raises:
        ConfigurationError: it is none, or gives something else than whole numbers of children.
    """
    if not isinstance(decision, Decision):
        raise ConfigurationError(
            f"the method {by!r} decided {_told(decision)}: a Decision({{number of a node: children}}), empty to end"
        )
    for number, count in cast("Mapping[object, object]", decision.children).items():
        if not isinstance(number, int) or not isinstance(count, int):
            raise ConfigurationError(
                f"the method {by!r} gave {count!r} children to node {number!r}: each must be an int"
            )
    return decision


def _has(part: object, call: str) -> bool:
    return not isinstance(part, type) and callable(getattr(part, call, None))


def _told(part: object) -> str:
    said = f"the class {part.__name__}, not an object of it" if isinstance(part, type) else repr(part)
    return said if len(said) <= 80 else f"{said[:79]}…"
