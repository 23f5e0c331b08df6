"""Threads that do everything at once with one blocking client, by a seed."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from ets_client import EtsClientError, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ets_client import Expansion, PolicyClient, Prefix
    from ets_client.sync_calls import SyncPolicyCalls

__all__ = ["ChaosThreads"]

LABELS = [43, 45]


class ChaosThreads:
    """Searches of some threads.

    Attributes:
        futures: all that were given out, with those that callbacks began.
        seen: how many calls ended how.
    """

    def __init__(self, client: PolicyClient, seed: int) -> None:
        self._client = client
        self._seed = seed
        self.futures: list[Future[Expansion]] = []
        self.seen: Counter[str] = Counter()

    def run(self, threads: int, calls: int, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Search until all threads have made their calls."""
        working = [
            threading.Thread(target=self._work, args=(Random(f"{self._seed}-{number}"), calls), daemon=True)
            for number in range(threads)
        ]
        for thread in working:
            thread.start()
        meanwhile()
        for thread in working:
            thread.join(60)
            assert not thread.is_alive()

    def _work(self, random: Random, calls: int) -> None:
        while calls > 0:
            some = min(calls, random.randint(1, 6))
            calls -= some
            try:
                root = self._client.prefix(random.choices(range(97, 123), k=random.randint(1, 90)))
                if random.random() < 0.5:
                    self._calls(self._client, root, random, some)
                    continue
                with self._client.tree("chaos", timeout=random.choice([None, 0.02, 5])) as tree:
                    self._calls(tree, root, random, some)
            except EtsClientError as error:
                self.seen[type(error).__name__] += 1

    def _calls(self, scope: SyncPolicyCalls, root: Prefix, random: Random, calls: int) -> None:
        nodes = [root]
        for _ in range(calls):
            self._call(scope, nodes, random)

    def _call(self, scope: SyncPolicyCalls, nodes: list[Prefix], random: Random) -> None:
        step = SamplingParams(max_new_tokens=random.randint(1, 12), ignore_eos=True, stop=random.choice(["e", "~~"]))
        at, n = random.choice(nodes), random.choice([1, 1, 2, 8])
        timeout = random.choice([None, None, None, 0.01, 0.5])
        kind = random.choice(["submit"] * 4 + ["expand", "expand", "branches", "text", "choices", "prune"])
        try:
            if kind == "submit":
                self._submit(scope, partial(scope.submit_expand, at, n, step, timeout=timeout), random)
            elif kind == "expand":
                expansion = scope.expand(at, n, step, timeout=timeout)
                nodes += [branch.prefix for branch in expansion if branch.is_open and len(branch.prefix) < 300]
            elif kind == "branches":
                with scope.expand_iter(at, n, step, timeout=timeout) as branches:
                    for _ in branches:
                        if random.random() < 0.3:
                            break
            elif kind == "text":
                with scope.stream(at, step, timeout=timeout) as stream:
                    for _ in stream:
                        if random.random() < 0.3:
                            break
            elif kind == "choices":
                scope.label_choices(random.choices(nodes, k=3), LABELS, timeout=timeout)
            else:
                scope.prune(at)
            self.seen[kind] += 1
        except EtsClientError as error:
            self.seen[type(error).__name__] += 1

    def _submit(self, scope: SyncPolicyCalls, begin: Callable[[], Future[Expansion]], random: Random) -> None:
        def once_more(_: Future[Expansion]) -> None:  # on the loop's thread, while it ends another
            try:
                self.futures.append(begin())
            except EtsClientError as error:
                self.seen[type(error).__name__] += 1

        futures = [begin() for _ in range(random.randint(1, 4))]
        self.futures += futures
        for future in futures:
            if random.random() < 0.2:
                future.add_done_callback(once_more)
            if random.random() < 0.5:
                time.sleep(random.choice([0, 0, 0.0005, 0.005]))
                future.cancel()
        if random.random() < 0.7:
            concurrent.futures.wait(futures, 60)
