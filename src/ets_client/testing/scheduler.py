"""SGLang's scheduler: what runs next, what room it takes, what it leaves in the cache. Pure: steps are asked for."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from .chance import fraction
from .dialect import dialect_of
from .draw import LogProbabilities, draw
from .order import order_waiting
from .radix import RadixTree
from .sampling import FatalError
from .step import Step
from .stops import ABORTED, Finish, find_finish, queue_abort

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .job import Job
    from .model import TextModel
    from .options import FakeOptions
    from .tokenizer import Tokenizer

__all__ = ["Scheduler"]

_NO_MEMORY = "Out of memory even after retracting all other requests in the decode batch. Aborting the last request."
_MOST_RESERVED = 4096  # CLIP_MAX_NEW_TOKENS: a request reserves room for no more tokens than this
_FIRST_RATIO, _LEAST_RATIO, _RATIO_STEPS = 0.7, 0.098, 600  # share of the allowed tokens that is thought to come


class Scheduler:
    """Waiting samples, running samples, and the cache.

    Attributes:
        waiting: samples that hold no KV, in order.
        running: samples that decode.
        tree: the radix cache.
        counts: totals since the beginning, by name.
        is_paused: nothing new is begun.
    """

    def __init__(self, options: FakeOptions, model: TextModel, tokenizer: Tokenizer) -> None:
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.tree = RadixTree(options.page_size)
        self.counts: Counter[str] = Counter()
        self.is_paused = False
        self._options = options
        self._dialect = dialect_of(options.version)
        self._model = model
        self._tokenizer = tokenizer
        self._chunked: Job | None = None
        self._prefilling: list[Job] = []  # in the step that runs
        self._aborted: list[Job] = []  # of them
        self._held = 0
        self._ratio = _FIRST_RATIO
        self._orders = count()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.waiting and not self.running and not self._prefilling and self._chunked is None

    @property
    def used_tokens(self) -> int:
        """KV tokens that running samples hold; what is only cached does not count."""
        return self._held + self.tree.locked

    @property
    def free_tokens(self) -> int:
        """KV tokens that nothing holds."""
        return self._options.max_total_tokens - self.tree.size - self._held

    @property
    def active(self) -> list[Job]:
        """All samples that are not at their end."""
        chunked = [self._chunked] if self._chunked is not None else []
        return [*self.waiting, *chunked, *self.running]

    def submit(self, job: Job) -> None:
        """Take a sample, or refuse it when too many wait."""
        limit = self._options.max_queued_requests
        job.order = next(self._orders)
        if limit is not None and len(self.waiting) + 1 > limit:
            self._tell(job, queue_abort("The request queue is full.", 503))
            return
        self.waiting.append(job)

    def abort(self, rid: str, *, everything: bool = False) -> None:
        """Stop all samples whose ids *begin* with ``rid``; a running one gets one more token first."""
        stays: list[Job] = []
        stopped: list[Job] = []
        for job in self.waiting:
            (stopped if everything or job.rid.startswith(rid) else stays).append(job)
        self.waiting = stays
        running = [*self.running, *([self._chunked] if self._chunked is not None else [])]
        for job in running:
            if everything or job.rid.startswith(rid):
                job.ending = ABORTED
        # SGLang reads an abort when the step that runs is over, and finds them among those that run then.
        self._aborted += [job for job in self._prefilling if everything or job.rid.startswith(rid)]
        for job in reversed(stopped):
            self._tell(job, queue_abort())

    def flush(self) -> bool:
        """Empty the cache, if nothing runs or waits."""
        if not self.is_idle:
            return False
        self.tree.clear()
        return True

    def next_step(self) -> Step | None:
        """What is computed now; prefills come before decodes. None when there is nothing to do."""
        if self.is_paused:
            return None
        step = self._prefill_step()
        if step.prefills:
            self._prefilling = [job for job, _ in step.prefills]
            return step
        if self.running:
            self._make_room_for_decode()
        if self.running:
            return Step(decodes=list(self.running))
        if not self.waiting:
            self._ratio = _FIRST_RATIO
        return None

    def finish_step(self, step: Step, now: float) -> None:
        """Take the results of a forward pass.

        Args:
            step: what :meth:`next_step` gave.
            now: the time.
        """
        if self._dialect.mixed_label_ids_are_fatal and step.mixes_label_ids:
            raise FatalError("'list' object has no attribute 'tolist'")
        self.counts["steps"] += 1
        for job, tokens in step.prefills:
            self._end_prefill(job, tokens, now)
        for job in self._aborted:
            job.ending = ABORTED
        self._prefilling, self._aborted = [], []
        if step.decodes:
            self.counts["decode"] += len(step.decodes)
            self._ratio = max(_LEAST_RATIO, self._ratio - (_FIRST_RATIO - _LEAST_RATIO) / _RATIO_STEPS)
            for job in step.decodes:
                job.filled += 1
                self._add_token(job, now)
        self.running = [job for job in self.running if job.finish is None]

    # -- prefill ------------------------------------------------------------------------------------------------

    def _prefill_step(self) -> Step:
        step, options, page = Step(), self._options, self._options.page_size
        left_chunk, left_input = options.chunked_prefill_size, options.max_prefill_tokens
        slots = options.max_running_requests - len(self.running)
        reserved: float = sum(min(job.most - len(job.output), _MOST_RESERVED) for job in self.running) * self._ratio
        if self._chunked is not None:
            job, self._chunked = self._chunked, None
            tokens = self._chunk(job.length - job.filled, left_chunk)
            room = self._ceil(job.filled + tokens) - self._ceil(job.filled)
            if not self._allocate(room):
                self._chunked = job
                return step
            job.held += room
            self._begin(step, job, tokens)
            slots -= 1
            left_chunk = None if left_chunk is None else left_chunk - tokens
            left_input -= tokens
        elif not self.waiting or slots <= 0:
            return step
        order_waiting(self.waiting, options.schedule_policy, self.tree)
        taken: set[int] = set()
        for job in self.waiting:
            no_chunk = left_chunk is not None and left_chunk < page
            if slots <= 0 or left_input <= 0 or no_chunk or self._has_chunk():
                break
            node = None if options.disable_radix_cache else self.tree.match(job.ids, job.most_matched, job.namespace)
            matched = node.depth if node is not None else 0
            new = job.length - matched
            wanted = min(max(job.most - len(job.output), 0), _MOST_RESERVED)
            if node is not None:
                self.tree.lock(node)
            left = self.free_tokens + self.tree.evictable - reserved
            is_alone = not self.running and not step.prefills
            must_wait = not is_alone and new + wanted + page >= left
            tokens = self._chunk(new, left_chunk)
            too_long = left_chunk is None and bool(step.prefills) and new >= left_input
            held = self._ceil(matched + tokens) - matched
            if must_wait or too_long or tokens <= 0 or not self._allocate(held):
                if node is not None:
                    self.tree.unlock(node)
                if not is_alone:
                    break
                taken.add(job.order)
                self._tell(job, Finish({"type": "abort", "status_code": 500, "message": _NO_MEMORY}, status=500))
                continue
            job.node, job.filled, job.held = node, matched, held
            if job.cached is None:
                job.cached = matched
            self.counts["prefill_cache"] += matched
            taken.add(job.order)
            self._begin(step, job, tokens)
            slots -= 1
            left_input -= self._ceil(tokens)
            left_chunk = None if left_chunk is None else left_chunk - self._ceil(tokens)
            reserved += wanted
        if taken:
            self.waiting = [job for job in self.waiting if job.order not in taken]
        return step

    def _has_chunk(self) -> bool:
        return self._chunked is not None

    def _begin(self, step: Step, job: Job, tokens: int) -> None:
        step.prefills.append((job, tokens))
        self.counts["prefill_compute"] += self._ceil(tokens)
        if job.filled + tokens < job.length:
            self._chunked = job
        elif job.continuation is None and job.most > 0:
            job.continuation = self._model.begin(job.prompt)

    def _end_prefill(self, job: Job, tokens: int, now: float) -> None:
        job.filled += tokens
        job.admitted = job.admitted or now
        if job.finish is not None:
            return
        self._share(job)
        if job is self._chunked:
            if job.ending is not None:
                self._chunked = None
                self._end(job, job.ending, now)
            return
        self.running.append(job)
        self._add_token(job, now)

    def _chunk(self, tokens: int, left: int | None) -> int:
        if left is None or tokens <= left:
            return tokens
        return left // self._options.page_size * self._options.page_size

    # -- decode -------------------------------------------------------------------------------------------------

    def _make_room_for_decode(self) -> None:
        """Give every running sample room for one token; those that wrote least lose their place when there is none."""
        if not self._allocate(sum(map(self._needs, self.running))):
            self._retract()
            if not self.running or not self._allocate(sum(map(self._needs, self.running))):
                return
        for job in self.running:
            job.held += self._needs(job)

    def _retract(self) -> None:
        # The longest output is kept longest; of equals, the shorter prompt.
        kept = sorted(self.running, key=lambda job: (len(job.output), -len(job.prompt)), reverse=True)
        while kept and sum(map(self._needs, kept)) > self.free_tokens + self.tree.evictable:
            job = kept.pop()
            self._free(job)
            self.running.remove(job)
            if not kept:
                self._tell(job, Finish({"type": "abort", "status_code": 500, "message": _NO_MEMORY}, status=500))
                return
            job.retractions += 1
            job.filled = 0
            self.waiting.append(job)
            self.counts["retracted"] += 1
            total = sum(min(each.most, _MOST_RESERVED) for each in kept) + 1
            self._ratio = min(1.0, (sum(len(each.output) for each in kept) + 20 * len(kept)) / total)

    def _needs(self, job: Job) -> int:
        """Tokens of new pages for the token computed next, whose place is ``filled``."""
        return self._options.page_size if job.filled % self._options.page_size == 0 else 0

    def _add_token(self, job: Job, now: float) -> None:
        options, sampling = self._options, job.sampling
        if job.most > 0:
            assert job.continuation is not None  # noqa: S101 - begun with its prefill
            distribution = job.continuation.next(job.output)
            position = len(job.output)
            forbidden: Iterable[int] = ()
            if position < sampling.min_new_tokens:
                forbidden = {self._tokenizer.eos_token_id, *sampling.stop_token_ids}
            if options.enable_deterministic_inference:
                chance = fraction(42 if sampling.seed is None else sampling.seed, position)
            else:
                chance = fraction(options.seed, job.order, position)
            job.output.append(draw(distribution, sampling, chance, job.output, frozenset(forbidden)))
            if job.logprobs is not None:
                values = LogProbabilities(
                    distribution, sampling.temperature, self._tokenizer.vocab_size, sampling.logit_bias
                )
                job.output_logprobs.append(values.of(job.output[-1]))
        job.first_token = job.first_token or now
        finish = job.ending or find_finish(job.output, job.most, sampling, self._tokenizer, self._dialect)
        if finish is not None:
            self._end(job, finish, now)
        elif job.stream:
            job.on_update(job)

    # -- ends and memory ----------------------------------------------------------------------------------------

    def _end(self, job: Job, finish: Finish, now: float) -> None:
        self._share(job, at_end=True)
        self._free(job)
        job.finished = now
        self.counts["generated"] += len(job.output)
        self.counts["prompt"] += len(job.prompt)
        self.counts["cached"] += job.cached or 0
        self.counts["finished"] += 1
        self._tell(job, finish)

    def _tell(self, job: Job, finish: Finish) -> None:
        job.finish = finish
        job.on_update(job)

    def _share(self, job: Job, *, at_end: bool = False) -> None:
        """Put what a sample computed into the tree: its prompt after prefill, all but its last token at its end."""
        if self._options.disable_radix_cache:
            return
        # The newest token's KV is not there: it is computed when the token is read.
        ids = job.ids[: min(job.filled, job.length)] if at_end else job.ids[: job.filled]
        node = self.tree.insert(ids, job.namespace)
        self.tree.lock(node)
        if job.node is not None:
            self.tree.unlock(job.node)
        job.node = node
        # What others put there first is theirs: our copy is freed.
        held = self._ceil(job.filled) - node.depth
        self._held += held - job.held
        job.held = held

    def _free(self, job: Job) -> None:
        self._held -= job.held
        job.held = 0
        if job.node is not None:
            self.tree.unlock(job.node)
            job.node = None

    def _allocate(self, tokens: int) -> bool:
        missing = tokens - self.free_tokens
        if missing > self.tree.evictable:
            return False
        if missing > 0:
            self.tree.evict(missing)
        self._held += tokens
        return True

    def _ceil(self, tokens: int) -> int:
        page = self._options.page_size
        return -(-tokens // page) * page

    def __repr__(self) -> str:
        return f"Scheduler({len(self.waiting)} waiting, {len(self.running)} running, {self.tree!r})"
