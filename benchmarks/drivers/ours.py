"""This package."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Literal

from ets_client import AsyncPolicyClient, SamplingParams

if TYPE_CHECKING:
    from typing import Self

    from ets_client import Prefix, Tree

    from .shape import Shape


class Ours:
    """``admission`` as the client takes it: a number of samples, ``adaptive`` or None."""

    takes_text = False

    def __init__(
        self, base: str, shape: Shape, profile: str | None, admission: Literal["adaptive"] | int | None
    ) -> None:
        self.shape = shape
        self.client = AsyncPolicyClient(base, profile, connections=4096, check_profile=False, admission=admission)
        self._calls: AsyncPolicyClient | Tree = self.client
        # No stop strings, as for the others: the server looks for them after every token.
        self._sampling = SamplingParams(max_new_tokens=shape.step, ignore_eos=True, stop=())

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.__aexit__(*error)

    def within(self, tree: Tree) -> Ours:
        """The same, in a tree's scope."""
        scoped = copy(self)
        scoped._calls = tree
        return scoped

    async def expand(self, prefix: Prefix, n: int, **_: Any) -> list[Prefix]:
        return [branch.prefix for branch in await self._calls.expand(prefix, n, self._sampling)]

    async def sample(self, prefix: Prefix, length: int) -> Prefix:
        """One sample of a length of its own."""
        (branch,) = await self._calls.expand(prefix, 1, SamplingParams(max_new_tokens=length, ignore_eos=True, stop=()))
        return branch.prefix
