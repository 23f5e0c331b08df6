"""In which order waiting expands go."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from .heap import Heap
from .queued_tree import PATIENCE, QueuedTree

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from .ticket import Ticket

__all__ = ["TURN", "WaitingExpands"]

_LOOK_AHEAD = 8  # trees looked at when the next ticket does not fit
TURN = 256
"""Samples of a turn, for a weight of 1: most trees end within one, so that fairness does not spread them out."""

_IDLE_TREES = 16_384  # remembered as started though nothing of theirs waits; a few hundred bytes each


class _Lane:
    """Tickets of one class.

    A tree that has started goes before those that have not, so that trees come out early one after the other and not
    late all together. Started trees take turns of :data:`TURN` samples x weight, in the order in which they started
    (start-time fair queueing with a quantum); the others start in the order of their arrival. Whoever waits to start is
    passed by at most :data:`PATIENCE` samples for each that it asks for.
    """

    def __init__(self) -> None:
        self._trees: dict[Hashable, QueuedTree] = {}
        self._idle: OrderedDict[Hashable, None] = OrderedDict()
        self._started: Heap[Hashable] = Heap()
        self._fresh: Heap[Hashable] = Heap()
        self._level = 0
        self._starts = 0
        self._fresh_passed = 0
        self._overtaken: dict[Ticket, int] = {}

    def push(self, ticket: Ticket, arrival: int) -> None:
        tree = self._trees.get(ticket.tree)
        if not tree:
            tree = self._returns(ticket.tree)
        tree.push(ticket, arrival)
        self._place(tree)

    def enter(self, ticket: Ticket, free: int, spare: int, *, alone: bool) -> bool:
        """While none waits: what push, ready and take would do. Whether it goes."""
        known = self._trees.get(ticket.tree)  # of those that wait for nothing only started ones are known
        if not alone and ticket.samples > (min(free, spare) if known is None else free):
            return False
        tree = self._returns(ticket.tree)
        if tree.started is None:
            self._begins(tree)
            self._fresh_passed = 0
        self._pays(tree, ticket)
        tree.went(ticket.family)
        self._rests(tree)
        return True

    def head(self) -> Ticket:
        if not self._started or self._fresh_is_overdue():
            return self._trees[self._fresh.first].head
        return self._trees[self._started.first].head

    def ready(self, free: int, spare: int, *, alone: bool) -> Ticket | None:
        if free < 1 and not alone:
            return None  # with many trees waiting, looking for one that fits cost more than all else of admission
        head = self.head()
        is_overdue = self._fresh_is_overdue()
        if alone or head.samples <= self._room(head, free, spare, is_overdue=is_overdue):
            return head
        # Permits that are too few for the next one would idle. Others may have them, as many as it asks for in all:
        # then it waits no longer than it takes to let its permits come together.
        left = head.samples - self._overtaken.get(head, 0)
        for other in self._others():
            if other.samples <= min(left, self._room(other, free, spare, is_overdue=is_overdue)):
                self._overtaken[head] = self._overtaken.get(head, 0) + other.samples
                return other
        return None

    def take(self, ticket: Ticket) -> None:
        tree = self._trees[ticket.tree]
        if tree.started is None:
            self._fresh_passed = 0 if tree.name == self._fresh.first else self._fresh_passed + ticket.samples
            self._begins(tree)
            self._fresh.remove(tree.name)
        elif self._fresh:
            self._fresh_passed += ticket.samples
        self._pays(tree, ticket)
        tree.take(ticket)
        self._left(tree, ticket)

    def cancel(self, ticket: Ticket) -> None:
        tree = self._trees[ticket.tree]
        tree.cancel(ticket)
        self._left(tree, ticket)

    def finish(self, name: Hashable) -> None:
        if self._trees.get(name):
            raise ValueError(f"tree {name!r}: {len(self._trees[name])} of its expands still wait; cancel them first")
        self._trees.pop(name, None)
        self._idle.pop(name, None)

    def __len__(self) -> int:
        return len(self._started) + len(self._fresh)

    def _fresh_is_overdue(self) -> bool:
        return bool(self._fresh) and self._fresh_passed >= PATIENCE * self._trees[self._fresh.first].head.samples

    def _room(self, ticket: Ticket, free: int, spare: int, *, is_overdue: bool) -> int:
        """Permits that this ticket may have: what is kept for started trees is not for one that would start."""
        may_use_all = is_overdue or ticket.tree in self._started
        return free if may_use_all else min(free, spare)

    def _others(self) -> Iterator[Ticket]:
        for heap in (self._started, self._fresh):
            for name in heap.front(_LOOK_AHEAD):
                yield self._trees[name].head

    def _left(self, tree: QueuedTree, ticket: Ticket) -> None:
        self._overtaken.pop(ticket, None)
        if tree:
            self._place(tree)
            return
        if tree.started is None:
            if tree.name == self._fresh.first:
                self._fresh_passed = 0
            self._fresh.remove(tree.name)
            del self._trees[tree.name]
            return
        if tree.name in self._started:
            self._started.remove(tree.name)
        self._rests(tree)

    def _returns(self, name: Hashable) -> QueuedTree:
        """A tree of which nothing waited asks for something."""
        tree = self._trees.get(name)
        if tree is None:
            tree = self._trees[name] = QueuedTree(name)
        self._idle.pop(name, None)
        if tree.level < self._level:  # turns that it did not ask for are not owed to it
            tree.level, tree.used = self._level, 0.0
        return tree

    def _begins(self, tree: QueuedTree) -> None:
        tree.started = self._starts
        self._starts += 1

    def _pays(self, tree: QueuedTree, ticket: Ticket) -> None:
        self._level = max(self._level, tree.level)
        turns, tree.used = divmod(tree.used + ticket.samples / ticket.weight, TURN)
        tree.level += int(turns)

    def _rests(self, tree: QueuedTree) -> None:
        """Nothing of a tree that has started waits."""
        self._idle[tree.name] = None
        if len(self._idle) > _IDLE_TREES:
            name, _ = self._idle.popitem(last=False)
            del self._trees[name]

    def _place(self, tree: QueuedTree) -> None:
        if tree.started is None:
            self._fresh.set(tree.name, (tree.oldest_arrival,))
        else:
            self._started.set(tree.name, (tree.level, tree.started))


class WaitingExpands:
    """The expands that wait for permits, and which of them goes next.

    Two lanes: speculative tickets go only when no other waits. In each: trees that have started first, by turns in
    proportion to their weights; within a tree siblings together, then the longest warm prefix, then age. All operations
    take O(log n).
    """

    def __init__(self) -> None:
        self._main = _Lane()
        self._speculative = _Lane()
        self._waiting: set[Ticket] = set()
        self._arrivals = 0

    def push(self, ticket: Ticket) -> None:
        """Let an expand wait.

        Raises:
            ValueError: it waits already.
        """
        if ticket in self._waiting:
            raise ValueError(f"{ticket} waits already")
        self._waiting.add(ticket)
        self._arrivals += 1
        self._lane(ticket).push(ticket, self._arrivals)

    def pop_ready(self, free: int, spare: int, *, alone: bool) -> Ticket | None:
        """Take the next expand out, if it may go now.

        One that does not fit is passed by at most as many samples as it asks for; then permits are kept for it.

        Args:
            free: permits that nobody has; below 0 after the limit was cut.
            spare: of these, permits that nobody is expected to want back soon: for trees that have not started, and for
                speculative tickets.
            alone: whether nothing runs; then the next one goes, though it asks for more than the limit.

        Returns:
            The ticket, or None when nothing waits or permits must be kept.
        """
        ticket = None
        if self._main:
            ticket = self._main.ready(free, spare, alone=alone)
        elif self._speculative:
            ticket = self._speculative.ready(spare, spare, alone=alone)
        if ticket is not None:
            self._waiting.remove(ticket)
            self._lane(ticket).take(ticket)
        return ticket

    def enter(self, ticket: Ticket, free: int, spare: int, *, alone: bool) -> bool:
        """While none waits: the same as :meth:`push` and :meth:`pop_ready`.

        Args:
            ticket: it does not wait, and will not.
            free: as of :meth:`pop_ready`.
            spare: as of :meth:`pop_ready`.
            alone: as of :meth:`pop_ready`.

        Returns:
            Whether it goes.
        """
        return self._lane(ticket).enter(ticket, spare if ticket.speculative else free, spare, alone=alone)

    def cancel(self, ticket: Ticket) -> bool:
        """Let it wait no longer.

        Returns:
            Whether it was waiting.
        """
        if ticket not in self._waiting:
            return False
        self._waiting.remove(ticket)
        self._lane(ticket).cancel(ticket)
        return True

    def finish(self, tree: Hashable) -> None:
        """Forget a tree: no more expands of it will come. Without this it counts as started until 16,384 others idle.

        Raises:
            ValueError: some of its expands still wait.
        """
        self._main.finish(tree)
        self._speculative.finish(tree)

    def __len__(self) -> int:
        return len(self._waiting)

    def _lane(self, ticket: Ticket) -> _Lane:
        return self._speculative if ticket.speculative else self._main
