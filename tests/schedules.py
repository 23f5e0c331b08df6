"""Random searches that are cancelled, pruned, flushed and disturbed: what they did to a client, by a seed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from ets_client import EtsClientError, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ets_client import AsyncPolicyClient, Branch, Prefix, Tree


@dataclass(slots=True)
class Heard:
    """What came back to the callers, counted by themselves.

    Attributes:
        errors: calls that failed, were pruned or were cancelled.
        branches: all of them.
    """

    errors: int = 0
    branches: list[Branch] = field(default_factory=list["Branch"])


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a random search goes.

    Attributes:
        seed: another seed, another search.
        workers: tasks that search at the same time.
        calls: of each.
        cuts: whether calls are cancelled, streams left and paths pruned.
        vocabulary: ids to make prompts of.
        lengths: of roots, from and to.
        longest: most tokens of a step.
    """

    seed: int
    workers: int = 3
    calls: int = 5
    cuts: bool = True
    vocabulary: Sequence[int] = range(97, 123)
    lengths: tuple[int, int] = (20, 120)
    longest: int = 12

    async def run(
        self,
        client: AsyncPolicyClient,
        disturb: Callable[[Random], Awaitable[None]],
        pause: Callable[[Random], Awaitable[None]],
    ) -> Heard:
        """Search to the end.

        Args:
            client: whose calls.
            disturb: done now and then between calls: evictions, restarts.
            pause: how long a call runs before it is cut.
        """
        heard = Heard()
        random = Random(self.seed)
        shared = random.choices(self.vocabulary, k=self.lengths[1])
        await asyncio.gather(
            *(
                self._work(client, Random(f"{self.seed}-{number}"), shared, heard, disturb, pause)
                for number in range(self.workers)
            )
        )
        return heard

    async def _work(
        self,
        client: AsyncPolicyClient,
        random: Random,
        shared: list[int],
        heard: Heard,
        disturb: Callable[[Random], Awaitable[None]],
        pause: Callable[[Random], Awaitable[None]],
    ) -> None:
        own = random.choices(self.vocabulary, k=random.randint(*self.lengths))
        root = await client.prefix(shared[: random.randrange(len(shared))] + own)
        if random.random() < 0.5:
            async with client.tree(f"{self.seed}") as tree:
                await self._search(tree, root, random, heard, disturb, pause)
        else:
            await self._search(client, root, random, heard, disturb, pause)

    async def _search(
        self,
        calls: AsyncPolicyClient | Tree,
        root: Prefix,
        random: Random,
        heard: Heard,
        disturb: Callable[[Random], Awaitable[None]],
        pause: Callable[[Random], Awaitable[None]],
    ) -> None:
        nodes: list[Prefix] = [root]
        for _ in range(self.calls):
            prefix = random.choice(nodes)
            task = asyncio.ensure_future(self._call(calls, prefix, random.randrange(5), random.randint(1, 4), random))
            if self.cuts and random.random() < 0.4:
                await pause(random)
                if random.random() < 0.5:
                    task.cancel()
                else:
                    await calls.prune(prefix)
                    nodes = [node for node in nodes if prefix not in node.path] or [root]
            elif random.random() < 0.3:
                await disturb(random)
            branches: list[Branch] = []
            with contextlib.suppress(asyncio.CancelledError, EtsClientError):
                branches = await task
            heard.errors += not branches
            heard.branches += branches
            nodes += [branch.prefix for branch in branches if branch.is_open]

    async def _call(
        self, calls: AsyncPolicyClient | Tree, prefix: Prefix, kind: int, n: int, random: Random
    ) -> list[Branch]:
        step = SamplingParams(max_new_tokens=random.randint(1, self.longest), ignore_eos=True, stop="never, ever")
        if kind == 0:
            await calls.warm(prefix)
            return [*await calls.expand(prefix, 1, step)]
        if kind == 1:
            return [await calls.generate(prefix, step)]
        if kind == 2:
            given: list[Branch] = []
            async with calls.expand_iter(prefix, n, step) as stream:
                async for branch in stream:
                    given.append(branch)
                    if self.cuts and random.random() < 0.3:
                        break
            return given
        return [*await calls.expand(prefix, n, step, partial="return" if kind == 3 else "raise")]
