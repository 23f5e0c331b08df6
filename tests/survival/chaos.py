"""Everything at once, by a seed: trees, streams, scores, prunes and cancels on a server that fails in every way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ets_client import EtsClientError, RequestError, SamplingParams, ScoreFailure, Tree
from ets_client.testing import (
    Cut,
    FakeOptions,
    Fault,
    FaultPlan,
    Garbage,
    Late,
    NeverAnswer,
    QueueFull,
    Refuse,
    Reset,
    ServerError,
    Slow,
    Stall,
)
from tests.fakes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ets_client import AsyncPolicyClient, Prefix
    from ets_client.events import ClientEvent
    from ets_client.testing import FakeServer

__all__ = ["Chaos", "assert_idle", "faults", "flags", "settings"]

LABELS = [43, 45]
_SHARES: dict[Fault, float] = {  # of all requests
    Reset(): 0.02,
    Reset(after=60): 0.01,
    Reset(after=400): 0.02,
    Stall(after=300): 0.01,
    NeverAnswer(): 0.01,
    QueueFull(): 0.02,
    ServerError(): 0.01,
    Garbage(): 0.01,
    Cut(): 0.01,
    Slow(200, 0.002): 0.05,
    Late(0.03): 0.03,
}


def faults(random: Random) -> FaultPlan:
    """What goes wrong at the server: some of everything, also of what is no generation."""
    plan = FaultPlan(seed=random.randrange(1 << 30))
    for fault, share in _SHARES.items():
        plan.on(fault, random.choice(["/generate", None]), probability=share * random.choice([0, 1, 2]))
    return plan.on(Refuse(0.05), probability=0.004, times=3)


def flags(random: Random) -> FakeOptions:
    """A server of any version, roomy or narrow."""
    return FakeOptions(
        version=random.choice(["0.5.14", "0.5.18", "0.5.23"]),
        max_total_tokens=random.choice([1024, 65536]),
        context_length=512,
        max_running_requests=random.choice([4, 64]),
        max_queued_requests=random.choice([None, 12]),
        page_size=random.choice([1, 4]),
        incremental_streaming_output=random.random() < 0.3,
        keep_alive_seconds=random.choice([0.1, 5.0]),
        disconnect_poll_seconds=0.05,
        stream_abort_seconds=0.05,
    )


def settings(random: Random) -> dict[str, Any]:
    """Options of the client; half of the observers fail, some at their first event and some later."""
    patience = random.randrange(12)

    def observe(event: ClientEvent) -> None:
        nonlocal patience
        patience -= 1
        if not patience:
            raise ArithmeticError

    return {
        "admission": random.choice([None, 3, 16, "adaptive", "adaptive"]),
        "departure_interval": random.choice([None, 0.002, 0.02]),
        "connections": random.choice([2, 8, 64]),
        "observer": random.choice([None, observe]),
    }


class Chaos:
    """One client's searches and what disturbs them.

    Attributes:
        seen: how many calls ended how.
    """

    def __init__(self, client: AsyncPolicyClient, seed: int) -> None:
        self._client = client
        self._random = Random(seed)
        self._shared = self._random.choices(range(97, 123), k=60)
        self.seen: Counter[str] = Counter()

    async def run(self, workers: int, calls: int) -> None:
        """Search until all workers have made their calls."""
        await asyncio.gather(*(self._worker(Random(self._random.random()), calls) for _ in range(workers)))

    async def _worker(self, random: Random, calls: int) -> None:
        while calls > 0:
            some = min(calls, random.randint(1, 12))
            calls -= some
            await self._cut(partial(self._search, random, some), random, 0.3)

    async def _search(self, random: Random, calls: int) -> None:
        """A tree with or without a scope, whose calls overlap."""
        with contextlib.suppress(EtsClientError):
            own = random.choices(range(97, 123), k=random.randint(1, 60))
            root = await self._client.prefix(self._shared[: random.randrange(60)] + own)
            if random.random() < 0.4:
                await self._calls(self._client, [root], random, calls)
                return
            timeout = random.choice([None, None, 0.02, 0.2, 5.0])
            left: list[asyncio.Task[None]] = []
            async with self._client.tree("chaos", timeout=timeout, weight=random.choice([0.5, 1, 4])) as tree:
                left = await self._calls(tree, [root], random, calls, leaves=random.random() < 0.5)
            await asyncio.gather(*left)  # each has ended with the tree

    async def _calls(
        self, scope: AsyncPolicyClient | Tree, nodes: list[Prefix], random: Random, calls: int, *, leaves: bool = False
    ) -> list[asyncio.Task[None]]:
        tasks: list[asyncio.Task[None]] = []
        try:
            for _ in range(calls):
                call = partial(self._call, scope, random.choice(nodes), nodes, random)
                tasks.append(asyncio.ensure_future(self._cut(call, random, 0.4)))
                if random.random() < 0.6:
                    await asyncio.wait([random.choice(tasks)])
            if not leaves:
                await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        return tasks

    async def _cut(self, work: Callable[[], Coroutine[Any, Any, None]], random: Random, share: float) -> None:
        """Run it, and cancel it at a random moment, perhaps again while it ends."""
        task = asyncio.ensure_future(work())
        try:
            if random.random() < share:
                for _ in range(random.choice([1, 1, 2])):
                    if random.random() < 0.6:
                        await turns(random.randrange(60))
                    else:
                        await asyncio.wait([task], timeout=random.random() * 0.05)
                    task.cancel()
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            if random.random() < 0.5:
                task.cancel()
            await asyncio.wait([task])
            raise
        self.seen["cancelled" if task.cancelled() else "done"] += 1
        if not task.cancelled():
            task.result()

    async def _call(self, scope: AsyncPolicyClient | Tree, at: Prefix, nodes: list[Prefix], random: Random) -> None:
        step = SamplingParams(max_new_tokens=random.randint(1, 12), ignore_eos=True, stop=random.choice(["e", "~~"]))
        kind = random.choice(
            ["expand"] * 4
            + ["partial", "branches", "branches", "ended", "text", "generate"]
            + ["warm", "labels", "choices", "prune"]
        )
        timeout = random.choice([None, None, None, None, 0.01, 0.1, 2.0])
        n = random.choice([1, 1, 2, 4, 8])
        found: list[Prefix] = []
        try:
            async with asyncio.timeout(random.choice([None] * 6 + [0.02])):
                if kind in {"expand", "partial"}:
                    expansion = await scope.expand(
                        at, n, step, partial="return" if kind == "partial" else "raise",
                        speculative=random.random() < 0.2, timeout=timeout, logprobs=random.random() < 0.2,
                    )  # fmt: skip
                    assert kind == "partial" or len(expansion) == n
                    assert len(expansion) + len(expansion.failures) == n
                    found += [branch.prefix for branch in expansion if branch.is_open]
                elif kind in {"branches", "ended"}:
                    await self._stream(scope, at, n, step, random, timeout, one_by_one=kind == "branches")
                elif kind == "text":
                    async with scope.stream(at, step, timeout=timeout) as stream:
                        async for _ in stream:
                            if random.random() < 0.2:
                                break
                elif kind == "generate":
                    await scope.generate(at, step, timeout=timeout)
                elif kind == "warm":
                    await scope.warm(at, timeout=timeout)
                elif kind == "prune":
                    await scope.prune(at)
                else:
                    paths = random.choices(nodes, k=random.randint(1, 4))
                    ask = scope.label_probs if kind == "labels" else scope.label_choices
                    scores = await ask(paths, LABELS, timeout=timeout)
                    assert len(scores) == len(paths)
                    self.seen["no score"] += sum(isinstance(score, ScoreFailure) for score in scores)
            self.seen[kind] += 1
        except (EtsClientError, TimeoutError) as error:
            self.seen[type(error).__name__] += 1
        nodes += [node for node in found if len(node) < 300]

    async def _stream(
        self, scope: AsyncPolicyClient | Tree, at: Prefix, n: int, step: SamplingParams, random: Random,
        timeout: float | None, *, one_by_one: bool,
    ) -> None:  # fmt: skip
        async with scope.expand_iter(at, n, step, timeout=timeout, speculative=random.random() < 0.2) as branches:
            given, errors = 0, 0
            while given < n:
                try:
                    if one_by_one:
                        async for _ in branches:
                            given += 1
                            if random.random() < 0.2:
                                return
                        return
                    ended = await branches.ended()
                    if not ended:
                        break
                    given += len(ended)
                except RequestError:
                    errors += 1
                    if errors > n or random.random() < 0.5:
                        raise
                if random.random() < 0.2:
                    return
            assert given <= n


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def restarts(server: FakeServer, random: Random) -> None:
    """Kill the server now and then, and let it stay away for a while."""
    while True:
        await asyncio.sleep(random.uniform(0.1, 0.6))
        await server.kill()
        await asyncio.sleep(random.choice([0, 0.01, 0.1]))
        await server.restart()


async def assert_idle(client: AsyncPolicyClient) -> None:
    """Nothing of any call is left in the client, though some may need a moment to go."""
    connection, caller = client._ready(), client._caller
    server, cache, admitter, dispatcher = client._server, connection.cache, connection.admitter, connection.dispatcher

    def left() -> dict[str, object]:
        stats, accounts = client.stats, cache.books._accounts
        found: dict[str, object] = {
            "requests": stats.in_flight,
            "samples": stats.samples_in_flight,
            "waiting for the server": stats.waiting or len(server.gate._waiting) * (not server.gate.is_open),
            "waiting for turn": stats.waiting_for_turn,
            "waiting for departure": stats.waiting_for_departure,
            "busy connections": stats.connections_busy,
            "waiting for connections": stats.connections_waited_for,
            "pending calls": len(client._pending._calls),
            "open streams": len(caller._opened),
            "repeating": len(caller._repeating),
            "watched": len(caller._attempter._watchdog._watched),
            "aborts": len(server.aborter._queue) + server.aborter._workers,
            "landings": len(cache._landings),
            "trees": len(accounts._scopes),
        }
        for shadow in cache._shadows:
            found["running tokens"] = shadow._running_tokens
            found["flights"] = len(shadow._flights)
            found["locks"] = sum(map(abs, shadow._tree.locks))
        if dispatcher is not None:
            found["departure's timer"] = dispatcher._timer is not None
        if admitter is not None:
            admission = admitter._admission
            found["permits"] = admission.in_flight
            found["speculative permits"] = admission._speculative
            found["tickets"] = admission.waiting + len(admitter._waiting)
            found["permits of trees"] = sum(abs(tree.in_flight) for tree in admission._footprints._trees.values())
            found["permits in the cache"] = sum(abs(tree.running) for tree in admission._kv._trees.values())
            known = [*admission._footprints._trees, *admission._kv._trees]
            known += [*admission._waiting._main._trees, *admission._waiting._speculative._trees]
            found["scopes known to admission"] = [name for name in known if isinstance(name, Tree)]
        return {what: count for what, count in found.items() if count}

    try:
        await eventually(lambda: not left())
    except TimeoutError:
        raise AssertionError(f"left: {left()}") from None
