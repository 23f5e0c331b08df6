"""The load: what every driver has to expand."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lengths import exponential

# expand(node, n, is_cold=, lengths=) -> the children
Expand = Callable[..., Awaitable[list[Any]]]


@dataclass(frozen=True)
class Shape:
    """``trees`` roots of ``root`` tokens are expanded ``width`` ways; on each of ``depth`` levels ``width // fan``
    nodes get ``fan`` children each. Steps have ``step`` tokens; exponential ones have it as their mean, cut at 4 times.
    """

    trees: int
    width: int = 16
    depth: int = 4
    fan: int = 4
    step: int = 48
    root: int = 400
    exponential: bool = False

    @property
    def kept(self) -> int:
        return self.width // self.fan

    @property
    def samples(self) -> int:
        return self.trees * (self.width + self.depth * self.kept * self.fan)

    @property
    def least(self) -> int:
        """Tokens that have to be computed: the roots, and one for every sample but each root's first."""
        return self.trees * self.root + self.samples - self.trees

    def roots(self, seed: int, vocabulary: int) -> list[list[int]]:
        chance = random.Random(seed)
        return [[chance.randrange(300, vocabulary) for _ in range(self.root)] for _ in range(self.trees)]

    def lengths(self, *node: int, n: int) -> list[int]:
        """The lengths of a node's children: of the node alone, so that every driver gets the same."""
        if not self.exponential:
            return [self.step] * n
        return exponential(self.step, n, *node)

    def tokens(self) -> int:
        """Of all samples."""
        if not self.exponential:
            return self.samples * self.step
        total = 0
        for tree in range(self.trees):
            total += sum(self.lengths(tree, 0, 0, n=self.width))
            total += sum(
                sum(self.lengths(tree, level, place, n=self.fan))
                for level in range(1, self.depth + 1)
                for place in range(self.kept)
            )
        return total
