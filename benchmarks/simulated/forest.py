"""Clients that search trees: the workload of the measured runs, behind one admission."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ets_client._core.admission import Admission, Admitted
from ets_client._core.limiter import Limits, Load
from ets_client._core.ticket import Ticket
from ets_client.prefix import Origin, Prefix

from .cache import Segment
from .server import Post

if TYPE_CHECKING:
    from .server import Server

THINK = 0.01  # seconds between the last reply of a level and the next level
LOADS_EVERY = 0.5
UNBOUNDED = 1_000_000  # a limit from which on there is no admission at all


@dataclass(frozen=True, slots=True)
class Shape:
    """One tree: a root expanded ``first`` ways, then ``levels`` in which ``kept`` nodes get ``fan`` children each."""

    root: int = 400
    first: int = 16
    levels: int = 4
    kept: int = 4
    fan: int = 4
    step: int = 48
    exponential: bool = False


@dataclass(slots=True)
class Result:
    """What a run gave. Times in seconds; latencies from the caller's await."""

    tokens_per_second: float
    makespan: float
    p50: float
    p90: float
    p99: float
    half_done: float
    prefilled: int
    least: int
    hit_rate: float
    retractions: int
    evicted: int
    most_waiting: int
    limits: list[tuple[float, int]] = field(default_factory=list)


class Forest:
    """Searches trees to the end and measures."""

    def __init__(
        self,
        server: Server,
        shape: Shape,
        trees: int,
        limits: Limits,
        *,
        breadth_first: bool = False,
        loads: bool = True,
        seed: int = 0,
        client_cpu: float = 0.0,
    ) -> None:
        """``client_cpu``: seconds that the client works for an expand before it is on the server, one by one."""
        self.server, self.shape, self.trees = server, shape, trees
        self.admission = Admission(
            limits, kv_tokens=None if breadth_first or limits.most >= UNBOUNDED else server.cache.capacity
        )
        self.limits: list[tuple[float, int]] = []
        self.latencies: list[float] = []
        self.finished: list[float] = []
        self.most_waiting = 0
        self._breadth_first = breadth_first
        self._loads = loads
        self._random = random.Random(seed)
        self._pushed: dict[Ticket, tuple[float, Segment, int, int]] = {}
        self._posts: dict[Post, Admitted] = {}
        self._levels: dict[int, list[Segment]] = {}
        self._roots: dict[int, Prefix] = {}
        self._open: dict[int, int] = {}
        self._calls: list[tuple[float, int, list[Segment], int]] = []
        self._tickets = 0
        self._client_cpu = client_cpu
        self._client_free = 0.0
        self._on_their_way: deque[tuple[float, Post]] = deque()

    def run(self) -> Result:
        for tree in range(self.trees):
            self._expand(tree, 0, Segment(self.shape.root), self.shape.first)
            self._open[tree] = 1
            self._levels[tree] = []
        self._admit()
        next_load = LOADS_EVERY
        while len(self.finished) < self.trees:
            wake = self.admission.wake_at
            until = min(self._calls[0][0] if self._calls else math.inf, next_load, math.inf if wake is None else wake)
            if self._on_their_way:
                until = min(until, self._on_their_way[0][0])
            until = max(until, self.server.now + 1e-6)
            for post in self.server.advance(until):
                self._reply(post)
            while self._on_their_way and self._on_their_way[0][0] <= self.server.now:
                self.server.submit(self._on_their_way.popleft()[1])
            while self._calls and self._calls[0][0] <= self.server.now:
                _, tree, nodes, level = heapq.heappop(self._calls)
                self._open[tree], self._levels[tree] = len(nodes), []
                for node in nodes:
                    self._expand(tree, level, node, self.shape.fan)
            if self.server.now >= next_load:
                next_load = self.server.now + LOADS_EVERY
                self.most_waiting = max(self.most_waiting, self.server.waiting)
                self.limits.append((round(self.server.now, 2), self.admission.limit))
                if self._loads:
                    cache = self.server.cache
                    self.admission.observe(Load(self.server.now, self.server.waiting, cache.needed))
            self._admit()
        return self._result()

    def _expand(self, tree: int, level: int, node: Segment, n: int) -> None:
        warm = sum(part.tokens for part in node.path if part.resident)
        self._tickets += 1
        # Breadth first is what a plain queue does: by age alone, as if each expand were a tree of its own.
        ticket = Ticket(
            n,
            self._tickets if self._breadth_first else tree,
            id(node.parent),
            warm,
            root=self._root(tree),
            path=sum(part.tokens for part in node.path) - self.shape.root,
            step=4 * self.shape.step if self.shape.exponential else self.shape.step,
        )
        self._pushed[ticket] = self.server.now, node, tree, level
        self.admission.push(ticket)

    def _root(self, tree: int) -> Prefix:
        if tree not in self._roots:
            self._roots[tree] = Prefix([tree] * self.shape.root, "", origin=Origin("simulated"))
        return self._roots[tree]

    def _admit(self) -> None:
        while (admitted := self.admission.pop_ready(self.server.now)) is not None:
            _, node, _, _ = self._pushed[admitted.ticket]
            post = Post(node, tuple(self._length() for _ in range(admitted.running)))
            self._posts[post] = admitted
            if self._client_cpu:
                self._client_free = max(self.server.now, self._client_free) + self._client_cpu
                self._on_their_way.append((self._client_free, post))
            else:
                self.server.submit(post)

    def _length(self) -> int:
        if not self.shape.exponential:
            return self.shape.step
        return max(1, min(4 * self.shape.step, round(self._random.expovariate(1 / self.shape.step))))

    def _reply(self, post: Post) -> None:
        admitted = self._posts.pop(post)
        ticket = admitted.ticket
        pushed, _, tree, level = self._pushed.pop(ticket)
        now = self.server.now
        self.admission.done(admitted, now, samples=ticket.samples, tokens=sum(post.lengths))
        self.latencies.append(now - pushed)
        assert post.children is not None
        self._levels[tree] += post.children
        if self._breadth_first:
            self.admission.finish(ticket.tree)
        self._open[tree] -= 1
        if self._open[tree]:
            return
        if level == self.shape.levels:
            self.finished.append(now)
            if not self._breadth_first:
                self.admission.finish(tree)
            return
        kept = self._random.sample(self._levels[tree], min(self.shape.kept, len(self._levels[tree])))
        heapq.heappush(self._calls, (now + THINK, tree, kept, level + 1))

    def _result(self) -> Result:
        server, shape = self.server, self.shape
        cuts = statistics.quantiles(self.latencies, n=100)
        samples = shape.first + shape.levels * shape.kept * shape.fan
        return Result(
            tokens_per_second=round(server.generated / server.now, 1),
            makespan=round(server.now, 2),
            p50=round(statistics.median(self.latencies), 3),
            p90=round(cuts[89], 3),
            p99=round(cuts[98], 3),
            half_done=round(sorted(self.finished)[(self.trees - 1) // 2], 2),
            prefilled=server.prefilled,
            least=self.trees * (shape.root + samples - 1),
            hit_rate=round(1 - server.prefilled / server.asked, 4),
            retractions=server.retractions,
            evicted=server.cache.evicted,
            most_waiting=self.most_waiting,
            limits=self.limits,
        )
