"""The KV figures of a method's decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ets_client.search.methods import Decision, Method, TreeView


class Level(NamedTuple):
    depth: int
    is_last: bool  # nobody gets children
    held: int
    published: int


@dataclass
class Watched:
    """A method, and what each of its decisions keeps."""

    method: Method
    levels: list[Level] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.method.name

    def decide(self, view: TreeView) -> Decision:
        decision = self.method.decide(view)
        kv: Any = decision.notes["kv"]
        self.levels.append(Level(view.depth, not decision.children, kv["held"], kv["published"]))
        return decision
