"""This package."""

from __future__ import annotations

from contextlib import AsyncExitStack
from copy import copy
from typing import TYPE_CHECKING, Any

from lengths import MOST, NEXT, as_told, chosen

from ets_client import AsyncPolicyClient, SamplingParams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import Self, Unpack

    from ets_client import ClientOptions, Prefix, Tree

    from .shape import Shape


class Ours:
    """Its options are the client's, such as ``admission``."""

    takes_text = False

    def __init__(self, base: str, shape: Shape, profile: str | None, **options: Unpack[ClientOptions]) -> None:
        self.shape = shape
        self.client = AsyncPolicyClient(base, profile, connections=4096, check_profile=False, **options)
        self._calls: AsyncPolicyClient | Tree = self.client
        # No stop strings, as for the others: the server looks for them after every token.
        longest = MOST * shape.step if shape.exponential else shape.step
        self._sampling = SamplingParams(max_new_tokens=longest, ignore_eos=True, stop=())

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self.shape.exponential:
                stack.enter_context(chosen(as_told))
            await stack.enter_async_context(self.client)
            self._leaving = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._leaving.aclose()

    def within(self, tree: Tree) -> Ours:
        """The same, in a tree's scope."""
        scoped = copy(self)
        scoped._calls = tree
        return scoped

    async def expand(self, prefix: Prefix, n: int, *, lengths: Sequence[int], **_: Any) -> list[Prefix]:
        NEXT.set(lengths)
        return [branch.prefix for branch in await self._calls.expand(prefix, n, self._sampling)]

    async def each(self, prefix: Prefix, n: int, lengths: Sequence[int]) -> AsyncIterator[tuple[int, Prefix]]:
        """Each child as it ends, with its place among its siblings."""
        NEXT.set(lengths)
        async with self._calls.expand_iter(prefix, n, self._sampling) as branches:
            async for branch in branches:
                yield branches.rids.index(branch.rid), branch.prefix
