"""What a search is told besides its method and its scorer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigurationError
from .budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..sampling import SamplingParams
    from .tree import Node

    Watch = Callable[[Node, str], bool]

__all__ = ["Barrier", "OnLength", "SearchOptions"]

Barrier = Literal["level", "none"]
OnLength = Literal["score", "continue", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How trees are grown, whatever the method.

    Attributes:
        width: samples of a level at the beginning.
        depth: most steps of a path.
        barrier: ``level``: the method decides when all nodes of a level are there, as published. ``none``: it decides
            whenever a child has been scored, on the nodes of the level that are there, with the level's width scaled by
            their share; children once given are not taken back, and a level never gets more than its width.
        on_length: what becomes of a step that is as long as a step may be: it is scored and expanded as it is
            (``score``), continued until it ends (``continue``), or given up (``drop``). What is given up is counted.
        sampling: fields that differ from the client's and the profile's.
        max_path_tokens: a path with so many tokens behind the prompt is expanded no further; None for the profile's.
        seed: makes the seeds of all samples; it counts only on a server with deterministic inference.
        budget: of each tree.
        kv_bytes_per_token: of the policy's KV cache, for the budget and the records; see :func:`kv_bytes_per_token`.
        watch: is called with the node that is expanded and the text of a step so far, whenever there is more of it. The
            step is stopped on the server and given up as soon as this returns False. Each sample then has a stream of
            its own.

    Raises:
        ConfigurationError: a value is out of range.
    """

    width: int = 8
    depth: int = 25
    barrier: Barrier = "level"
    on_length: OnLength = "score"
    sampling: SamplingParams | None = None
    max_path_tokens: int | None = None
    seed: int | None = None
    budget: Budget = field(default_factory=Budget)
    kv_bytes_per_token: float | None = None
    watch: Watch | None = None

    def __post_init__(self) -> None:
        for name in ("width", "depth", "max_path_tokens", "kv_bytes_per_token"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ConfigurationError(f"{name} = {value!r}: a number above 0")
        for name, allowed in (("barrier", ("level", "none")), ("on_length", ("score", "continue", "drop"))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigurationError(f"{name} = {value!r}: one of {', '.join(map(repr, allowed))}")
        if self.budget.kv_byte_seconds is not None and self.kv_bytes_per_token is None:
            raise ConfigurationError(
                "budget.kv_byte_seconds needs kv_bytes_per_token: give it, or take kv_bytes_per_token(model_folder)"
            )
