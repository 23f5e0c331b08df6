"""What a run is made of, for its manifest."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from .manifest import Manifest, QuestionSet, ServerRecord
from .methods.mends import Mended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import AsyncPolicyClient
    from .budget import Budget
    from .driver import TreeSearch
    from .questions import Question

__all__ = ["manifest_of"]


def manifest_of(
    search: TreeSearch, questions: Sequence[Question], *, at_once: int = 4, budget: Budget | None = None
) -> Manifest:
    """What a run is made of: enough to make it again, and to refuse to go on with something else.

    Args:
        search: how questions are searched.
        questions: which, in order.
        at_once: questions in flight.
        budget: of the run.
    """
    options, profile = search.options, search.client.profile
    reward = cast("AsyncPolicyClient | None", getattr(search.scorer, "client", None))
    return Manifest(
        method=parameters(search.method),
        rules=search.rules,
        questions=QuestionSet.of(questions),
        policy=ServerRecord.of(search.client.capabilities),
        scorer=parameters(search.scorer),
        reward=None if reward is None else ServerRecord.of(reward.capabilities),
        sampling=_plain(search.sampling.over(profile.sampling).given()),
        profile=profile.name,
        search={
            "width": options.width, "barrier": options.barrier, "on_length": options.on_length,
            "delimiters": list(profile.steps.delimiters), "max_step_tokens": profile.steps.max_step_tokens,
            "is_watched": options.watch is not None,
        },
        limits={
            "at_once": at_once, "budget": _plain(options.budget), "run": None if budget is None else _plain(budget),
            "kv_bytes_per_token": options.kv_bytes_per_token,
        },
        seed=options.seed,
    )  # fmt: skip


def parameters(thing: object) -> dict[str, Any]:
    """Name and parameters of a method or a scorer: the fields of a dataclass, or what ``parameters`` says."""
    told = cast("dict[str, Any] | None", getattr(thing, "parameters", None))
    if told is None:
        told = cast("dict[str, Any]", _plain(thing) if dataclasses.is_dataclass(thing) else {})
    if isinstance(thing, Mended):  # not those alone that were set: a variant may mean more one day
        told["mends"] = thing.mends.as_data(thing.variant, thing.switches)
    return {"name": getattr(thing, "name", type(thing).__name__), **told}


def _plain(value: Any) -> Any:
    """As JSON holds it; what it cannot hold by its name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: _plain(each) for name, each in found.items() if each is not None}
    if isinstance(value, dict | MappingProxyType):
        return {str(name): _plain(each) for name, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("list[Any]", value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "name", type(value).__name__)
