"""A server: first come, first served; prefill before decode; one step for all that run."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

from .cache import Cache, Segment


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds. A decode step takes ``step + sample * B + context * tokens`` of the B samples that run.

    Attributes:
        step: of any step: weights read, kernels launched.
        sample: for each sample in it.
        context: for each token that attention reads.
        prefill: for each token computed.
        prefill_more: by how much a step that computes prompts takes longer than the others.
    """

    step: float
    sample: float
    context: float
    prefill: float
    prefill_more: float = 0.0


@dataclass(slots=True, eq=False)
class Job:
    """One sample on the server."""

    post: Post
    length: int
    made: int = 0  # before it was retracted
    began: int = 0  # decode step
    retracted: bool = False


@dataclass(slots=True, eq=False)
class Post:
    """Samples of one prefix."""

    prefix: Segment
    lengths: tuple[int, ...]
    left: int = 0
    children: list[Segment] | None = None


class Server:
    """Runs until something ends: :meth:`advance`."""

    PREFILL_BUDGET = 8192
    # SGLang's new_token_ratio: memory kept for what running samples may still generate.
    RATIO, LEAST_RATIO, RATIO_DECAY = 0.7, 0.1, 0.001
    RETRACT_STEPS = 20

    def __init__(self, costs: Costs, kv_tokens: int, most_running: int) -> None:
        self.costs = costs
        self.cache = Cache(kv_tokens)
        self.most_running = most_running
        self.now = 0.0
        self.prefilled = 0
        self.asked = 0
        self.generated = 0
        self.retractions = 0
        self.busy = 0.0
        self._queue: deque[list[Job]] = deque()
        self._queued = 0
        self._steps = 0
        self._admitted = 0
        self._running: dict[Job, None] = {}
        self._ends: list[tuple[int, int, Job]] = []
        self._context = 0
        self._to_come = 0
        self._ratio = self.RATIO

    @property
    def waiting(self) -> int:
        return self._queued

    @property
    def running(self) -> int:
        return len(self._running)

    def submit(self, post: Post) -> None:
        post.left, post.children = len(post.lengths), []
        self._queue.append([Job(post, length) for length in post.lengths])
        self._queued += len(post.lengths)
        self.asked += len(post.lengths) * sum(part.tokens for part in post.prefix.path)

    def advance(self, until: float) -> list[Post]:
        """Run until a POST ends or ``until``; what ended."""
        while self.now < until:
            if self._queue and self._prefill():
                continue
            if not self._running:
                if self._queue:
                    raise RuntimeError("the first job does not fit into an empty server")
                self.now = until if until < math.inf else self.now
                break
            if ended := self._decode(until):
                return ended
        return []

    def _prefill(self) -> bool:
        """Admit what fits, in order; whether there was anything."""
        budget, computed = self.PREFILL_BUDGET, 0
        while self._queue and budget > 0:
            jobs = self._queue[0]
            room = min(len(jobs), self.most_running - len(self._running))
            if room <= 0:
                break
            prefix = jobs[0].post.prefix
            again = sum(job.made for job in jobs[:room])
            cold = self.cache.missing(prefix)
            growth = sum(job.length - job.made for job in jobs[:room])
            need = cold + again + int(self._ratio * (growth + self._to_come))
            available = (
                self.cache.free
                + self.cache.evictable
                - sum(part.tokens for part in prefix.path if part.resident and not part.locks)
            )
            if need > available and self._running:
                break
            self.cache.lock(prefix, room)
            if not self.cache.reserve(cold + again):
                for _ in range(room):
                    self.cache.unlock(prefix)
                break
            self.cache.insert(prefix)
            work = max(cold, 1) + again + room - 1
            computed += work
            budget -= work
            self._queued -= room
            for job in jobs[:room]:
                job.began = self._steps
                self._running[job] = None
                self._admitted += 1
                heapq.heappush(self._ends, (self._steps + job.length - job.made, self._admitted, job))
                self.cache.private += job.made
                self._context += sum(part.tokens for part in prefix.path) + job.made
                self._to_come += job.length - job.made
            if room == len(jobs):
                self._queue.popleft()
            else:
                del jobs[:room]
        if computed:
            self._pass(self.costs.step + self.costs.prefill_more + self.costs.prefill * computed)
            self.prefilled += computed
        return computed > 0

    def _decode(self, until: float) -> list[Post]:
        batch = len(self._running)
        while self._ends[0][2] not in self._running or self._end_of(self._ends[0][2]) != self._ends[0][0]:
            heapq.heappop(self._ends)
        steps = self._ends[0][0] - self._steps
        if not self.cache.reserve(batch * min(steps, 8)) and self.cache.free < batch:
            self._retract_some()
            return []
        steps = min(steps, max(1, self.cache.free // batch))
        seconds = self._step(batch)
        steps = max(1, min(steps, math.ceil((until - self.now) / seconds) if until < math.inf else steps))
        self._pass(steps * (seconds + self.costs.context * batch * (steps - 1) / 2))
        self._steps += steps
        self.cache.private += batch * steps
        self._context += batch * steps
        self._to_come -= batch * steps
        self._ratio = max(self.LEAST_RATIO, self._ratio - self.RATIO_DECAY * steps)
        self.generated += batch * steps
        return self._finish()

    def _finish(self) -> list[Post]:
        ended: list[Post] = []
        while self._ends and self._ends[0][0] <= self._steps:
            _, _, job = heapq.heappop(self._ends)
            if job not in self._running or self._end_of(job) != self._steps:
                continue
            del self._running[job]
            post = job.post
            self._context -= sum(part.tokens for part in post.prefix.path) + job.length
            self.cache.private -= job.length
            child = Segment(job.length, post.prefix)
            self.cache.insert(child)
            self.cache.unlock(post.prefix)
            assert post.children is not None
            post.children.append(child)
            post.left -= 1
            if not post.left:
                ended.append(post)
        return ended

    def _retract_some(self) -> None:
        """Retract until the others can go on for a while, and be more careful from now on."""
        while len(self._running) > 1 and not self.cache.reserve(self.RETRACT_STEPS * len(self._running)):
            self._retract()
        made = self.cache.private
        self._ratio = min(1.0, (made + self.RETRACT_STEPS * len(self._running)) / max(1, made + self._to_come))

    def _retract(self) -> None:
        """Put the youngest back into the queue; what it made is computed again later."""
        job, _ = self._running.popitem()
        made = job.made + self._steps - job.began
        self.cache.private -= made
        self._context -= sum(part.tokens for part in job.post.prefix.path) + made
        self._to_come -= job.length - made
        job.made, job.retracted = made, True
        self.cache.unlock(job.post.prefix)
        self.retractions += 1
        self._queue.appendleft([job])
        self._queued += 1

    def _end_of(self, job: Job) -> int:
        return job.began + job.length - job.made

    def _step(self, batch: int) -> float:
        return self.costs.step + self.costs.sample * batch + self.costs.context * self._context

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.busy += seconds
