"""What the server's cache should hold: SGLang's rules, applied to what was sent and to what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .._packed import packed
from .shadow_flights import Flights
from .shadow_order import EvictionOrder
from .shadow_sample import OVER, RunningSample
from .shadow_tree import PrefixTree, mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix
    from .shadow_rules import CacheRules

__all__ = ["Reuse", "Shadow", "ShadowStats"]

_MOST_NEW_NODES = 4  # of a sample that ends: its prompt and its output are inserted, and each may split a node


class Reuse(NamedTuple):
    """A prediction and what came of it.

    Attributes:
        predicted: tokens that were thought to be in the cache, frozen when the sample was sent.
        reported: its ``cached_tokens``, or None when the server did not say, or was flushed meanwhile.
    """

    predicted: int
    reported: int | None

    @property
    def shortfall(self) -> int:
        """Tokens that were computed against the prediction; they begin at offset ``reported`` of the prompt."""
        return 0 if self.reported is None else max(0, self.predicted - self.reported)


@dataclass(frozen=True, slots=True)
class ShadowStats:
    """Totals of a :class:`Shadow`.

    Attributes:
        tokens: tokens that should be in the cache now.
        running_tokens: tokens that running samples hold beside it.
        nodes: nodes of the tree.
        evicted: tokens that should have been evicted since the beginning.
        disproved: tokens that a reply showed to be gone.
        predicted: sum over all reported samples of the predicted reuse.
        reported: the same of ``cached_tokens``.
        error: sum of the absolute differences.
    """

    tokens: int
    running_tokens: int
    nodes: int
    evicted: int
    disproved: int
    predicted: int
    reported: int
    error: int


class Shadow:
    """A model of one server's radix cache. Everything is told to it; it asks nobody.

    A prompt counts as held when its prefill is known to be done, the tokens generated after it when the sample has
    ended, all but the last one, whose KV is never computed. What running samples hold is not evicted.
    """

    def __init__(self, rules: CacheRules) -> None:
        """Make it of an empty cache."""
        self.rules = rules
        self._epoch = 0
        self._weights: str | None = None
        self._evicted = self._disproved = self._predicted = self._reported = self._error = 0
        self._empty()

    def warm_length(self, prefix: Prefix) -> int:
        """The ``cached_tokens`` that a sample on this prefix should report if it were sent now.

        It is as warm as it can be when this is ``rules.reusable(len(prefix))``.

        Args:
            prefix: the prompt.
        """
        return self._tree.reach(prefix, self.rules.reusable(len(prefix)))[1]

    def computing(self, prefix: Prefix) -> tuple[RunningSample, int] | None:
        """The running sample whose prefill warms ``prefix`` furthest beyond what is warm now.

        Returns:
            The sample and the length to which ``prefix`` is warm once it is prefilled; None when there is no such one.
        """
        if not self._flights:
            return None
        warm, limit = self.warm_length(prefix), self.rules.reusable(len(prefix))
        if warm == limit or (found := self._flights.longest(prefix)) is None:
            return None
        sample, shared = found
        length = min(shared, limit)
        return (sample, length) if length > warm else None

    def begin(self, prefix: Prefix) -> RunningSample:
        """A sample is being sent. What it should find is held until it ends, and others can wait for its prefill.

        Args:
            prefix: its prompt.

        Returns:
            What the other calls need; its prediction does not change any more.
        """
        (sample,) = self.begin_batch(prefix, 1)
        if sample.predicted < self.rules.reusable(len(prefix)):
            sample.flight = self._flights.add(prefix, sample)
        return sample

    def begin_batch(self, prefix: Prefix, samples: int) -> list[RunningSample]:
        """Samples are being sent together. Nobody can wait for them: the end of their prefill will not be told.

        Args:
            prefix: their prompt.
            samples: how many.
        """
        return self._begin(prefix, samples, self._tree.match(prefix, self.rules.reusable(len(prefix))))

    def begin_warm(self, prefix: Prefix, samples: int) -> list[RunningSample] | None:
        """:meth:`begin_batch`, if the prefix is as warm as it can be; else None, and nothing is begun."""
        limit = self.rules.reusable(len(prefix))
        node, length = self._tree.reach(prefix, limit)
        return self._begin(prefix, samples, self._tree.use(node, limit)) if length == limit else None

    def prefilled(self, sample: RunningSample, cached_tokens: int | None = None) -> None:
        """The server has computed the whole prompt: its first token is here, or its end.

        Args:
            sample: which.
            cached_tokens: what the server found in its cache, when it has said so already.
        """
        if sample.epoch != self._epoch or sample.is_prefilled:
            return
        if cached_tokens is not None:
            self._correct(sample, cached_tokens)
        self._land(sample)
        sample.is_prefilled = True
        self._hold(sample, self._insert_prompt(sample))
        self._occupy(sample, self.rules.ceil(len(sample.prefix)))

    def forgo(self, sample: RunningSample) -> None:
        """Nobody shall wait for this sample: the end of its prefill will not be told, or is late."""
        if sample.epoch == self._epoch:
            self._land(sample)

    def grown(self, sample: RunningSample, generated: int) -> None:
        """A running sample has so many tokens by now; they take room, but nobody can share them yet."""
        if sample.epoch == self._epoch:
            self._occupy(sample, self.rules.ceil(len(sample.prefix) + max(0, generated - 1)))

    def finish(self, sample: RunningSample, output_ids: Sequence[int], cached_tokens: int | None = None) -> Reuse:
        """A sample has ended, or was aborted while it ran: SGLang keeps what it computed.

        Args:
            sample: which; all calls after this one do nothing.
            output_ids: all that it generated; empty for a prefill alone (``max_new_tokens: 0``).
            cached_tokens: what the server found in its cache.
        """
        predicted, is_short = sample.predicted, False
        if sample.epoch != self._epoch:
            return Reuse(predicted, None)
        if cached_tokens is not None:
            self._predicted += predicted
            self._reported += cached_tokens
            if cached_tokens != predicted:
                self._error += abs(predicted - cached_tokens)
                is_short = cached_tokens < predicted
        if is_short or not self._has_room(len(output_ids)):
            self._finish_in_order(sample, output_ids, cached_tokens)
        else:
            self._finish_at_once(sample, output_ids)
        return Reuse(predicted, cached_tokens)

    def lost(self, sample: RunningSample) -> None:
        """A sample has ended and nobody knows how far it came, or it was aborted before it ran.

        What was known before stays known. It does nothing after :meth:`finish`, so it may stand in a ``finally``.
        """
        if sample.epoch == self._epoch:
            self._land(sample)
            self._release(sample)

    def clear(self) -> None:
        """The cache is empty: the server was flushed or started again. Samples that run now teach nothing any more."""
        self._epoch += 1
        self._empty()

    def saw_weights(self, version: str) -> None:
        """A reply names the version of the weights; a new one means a flush, SGLang's default after an update."""
        if self._weights is not None and self._weights != version:
            self.clear()
        self._weights = version

    @property
    def stats(self) -> ShadowStats:
        """Totals until now."""
        return ShadowStats(
            self._tree.tokens,
            self._running_tokens,
            self._tree.nodes,
            self._evicted,
            self._disproved,
            self._predicted,
            self._reported,
            self._error,
        )

    def _empty(self) -> None:
        self._tree = PrefixTree(self.rules.shared_page)
        self._flights: Flights[RunningSample] = Flights(self.rules.shared_page)
        self._order = EvictionOrder(self._tree)
        self._running_tokens = 0

    def _correct(self, sample: RunningSample, cached_tokens: int) -> None:
        """Fewer tokens were there than predicted: then nothing below them was, unless it was used since."""
        if cached_tokens >= sample.predicted:
            return
        # The path to what was predicted is still there: the sample holds it.
        tree = self._tree
        top = tree.part_after(sample.node, self.rules.floor(cached_tokens))
        if not sample.is_prefilled:
            self._hold(sample, tree.above(top))
            self._occupy(sample, self.rules.ceil(len(sample.prefix)))
        below = [top] if tree.used[top] else []  # to make room for the sample it may have gone just now
        for node in below:
            below.extend(tree.children(node))
        before = tree.tokens
        for node in reversed(below):
            if not tree.child[node] and not tree.locks[node] and tree.used[node] <= sample.begun:
                self._order.offer(tree.drop(node))
        self._disproved += before - tree.tokens

    def _begin(self, prefix: Prefix, samples: int, node: int) -> list[RunningSample]:
        """Samples whose prompt is held as far as ``node``, which was used just now."""
        tree = self._tree
        tree.locks[node] += samples
        predicted = tree.end[node]
        held = self.rules.ceil(len(prefix)) - predicted
        self._running_tokens += held * samples
        self._make_room()
        begun, epoch = tree.tick, self._epoch
        if samples == 1:
            return [RunningSample(prefix, predicted, node, begun, epoch, held)]
        return [RunningSample(prefix, predicted, node, begun, epoch, held) for _ in range(samples)]

    def _finish_in_order(self, sample: RunningSample, output_ids: Sequence[int], cached_tokens: int | None) -> None:
        """As the server does it: what must be evicted in between depends on the order."""
        if not sample.is_prefilled:
            self.prefilled(sample, cached_tokens)
        elif cached_tokens is not None:
            self._correct(sample, cached_tokens)
        self.grown(sample, len(output_ids))
        if len(output_ids) > 1:
            self._hold(sample, self._insert_output(sample, sample.node, output_ids))
        self._release(sample)

    def _finish_at_once(self, sample: RunningSample, output_ids: Sequence[int]) -> None:
        """The same where nothing has to be evicted, which is nearly always: a third of the cost."""
        tree = self._tree
        if sample.flight:
            self._land(sample)
        node = self._insert_prompt(sample)
        if len(output_ids) > 1:
            node = self._insert_output(sample, node, output_ids)
        tree.locks[sample.node] -= 1
        sample.held_in, sample.held_at = tree.mark(node)
        sample.epoch = OVER
        self._running_tokens -= sample.held
        self._order.offer(node)

    def _insert_prompt(self, sample: RunningSample) -> int:
        tree, prefix = self._tree, sample.prefix
        node = tree.marked(prefix.held_in, prefix.held_at)
        if node and tree.end[node] == len(prefix):
            return tree.insert_below(node, b"")
        node = tree.insert(prefix)
        mark(prefix, tree, node)
        return node

    def _insert_output(self, sample: RunningSample, prompt: int, output_ids: Sequence[int]) -> int:
        """Hold what a sample generated; ``prompt`` is where the whole pages of its prompt end."""
        tree, tail = self._tree, output_ids[:-1]
        if prompt and tree.end[prompt] == len(sample.prefix):
            return tree.insert_below(prompt, packed(tail))
        return tree.insert(sample.prefix, tail)

    def _has_room(self, generated: int) -> bool:
        """Whether a running sample can end without an eviction, whatever it shares."""
        rules, tree = self.rules, self._tree
        tokens = tree.tokens + self._running_tokens + generated + rules.page_size
        return tokens <= rules.capacity_tokens and tree.nodes + _MOST_NEW_NODES <= rules.most_nodes

    def _hold(self, sample: RunningSample, node: int) -> None:
        self._tree.locks[node] += 1
        self._unlock(sample.node)
        sample.node = node

    def _unlock(self, node: int) -> None:
        self._tree.locks[node] -= 1
        self._order.offer(node)

    def _release(self, sample: RunningSample) -> None:
        self._running_tokens -= sample.held
        self._unlock(sample.node)
        sample.held_in, sample.held_at = self._tree.mark(sample.node)
        sample.epoch = OVER
        self._make_room()

    def _land(self, sample: RunningSample) -> None:
        if sample.flight:
            self._flights.remove(sample.flight, sample)
            sample.flight = 0

    def _occupy(self, sample: RunningSample, tokens: int) -> None:
        """A sample needs room for so many tokens, of which the tree holds those that it shares."""
        held = max(0, tokens - self._tree.end[sample.node])
        self._running_tokens += held - sample.held
        sample.held = held
        self._make_room()

    def _make_room(self) -> None:
        rules, tree = self.rules, self._tree
        while tree.tokens + self._running_tokens > rules.capacity_tokens or tree.nodes > rules.most_nodes:
            leaf = self._order.pop()
            if not leaf:
                return
            before = tree.tokens
            self._order.offer(tree.drop(leaf))
            self._evicted += before - tree.tokens

    def __repr__(self) -> str:
        return f"Shadow({self._tree!r}, {len(self._flights)} cold prompts computing, {self._evicted} tokens evicted)"
