from __future__ import annotations

from ets_client._core.queued_tree import PATIENCE, QueuedTree
from ets_client._core.ticket import Ticket


def drain(tree: QueuedTree) -> list[Ticket]:
    order: list[Ticket] = []
    while tree:
        order.append(tree.head)
        tree.take(tree.head)
    return order


def queued(*tickets: Ticket) -> QueuedTree:
    tree = QueuedTree("t")
    for arrival, ticket in enumerate(tickets):
        tree.push(ticket, arrival)
    return tree


def test_siblings_go_together_though_others_came_between_them() -> None:
    a1, b1, a2, b2 = (Ticket(4, "t", family=family) for family in "abab")
    assert drain(queued(a1, b1, a2, b2)) == [a1, a2, b1, b2]


def test_the_family_with_the_longest_warm_prefix_goes_first() -> None:
    cold, warm, warmer = Ticket(1, "t", "a", warm=0), Ticket(1, "t", "b", warm=10), Ticket(1, "t", "c", warm=20)
    assert drain(queued(cold, warm, warmer)) == [warmer, warm, cold]


def test_a_family_that_has_begun_is_not_interrupted_by_a_warmer_one() -> None:
    first, second = Ticket(1, "t", "a", warm=5), Ticket(1, "t", "a", warm=5)
    tree = queued(first, second)
    tree.take(tree.head)
    warmer = Ticket(1, "t", "b", warm=50)
    tree.push(warmer, 2)
    assert drain(tree) == [second, warmer]


def test_equally_warm_ones_go_by_age() -> None:
    tickets = [Ticket(1, "t", "a") for _ in range(5)]
    assert drain(queued(*tickets)) == tickets


def test_whoever_waited_longest_is_passed_by_a_bounded_number_of_samples() -> None:
    cold = Ticket(2, "t", "cold")
    tree = queued(cold)
    passed = 0
    for arrival in range(1, 10_000):
        tree.push(Ticket(3, "t", "warm", warm=100), arrival)
        head = tree.head
        tree.take(head)
        if head is cold:
            break
        passed += head.samples
    assert PATIENCE * 2 <= passed < PATIENCE * 2 + 3


def test_siblings_go_on_after_one_that_had_waited_too_long() -> None:
    cold = Ticket(1, "t", "cold")
    tree = queued(cold)
    warm = [Ticket(PATIENCE, "t", "warm", warm=9) for _ in range(2)]
    warmer = Ticket(1, "t", "warmer", warm=99)
    for arrival, ticket in enumerate(warm, start=1):
        tree.push(ticket, arrival)
    tree.take(warm[0])
    tree.push(warmer, 9)
    assert drain(tree) == [cold, warm[1], warmer]


def test_the_next_oldest_waits_its_own_turn_when_the_oldest_is_cancelled() -> None:
    old, older = Ticket(1, "t", "b"), Ticket(1, "t", "a")
    tree = queued(older, old)
    tree.push(Ticket(PATIENCE, "t", "warm", warm=9), 2)
    tree.take(tree.head)
    tree.cancel(older)
    tree.push(warm := Ticket(1, "t", "warm", warm=9), 3)
    assert drain(tree) == [warm, old]
    assert len(tree) == 0


def test_cancelling_a_younger_one_does_not_reset_the_patience_of_the_oldest() -> None:
    cold, young = Ticket(1, "t", "cold"), Ticket(1, "t", "young")
    tree = queued(cold, young, Ticket(PATIENCE, "t", "warm", warm=9))
    tree.take(tree.head)
    tree.cancel(young)
    tree.push(Ticket(1, "t", "warm", warm=9), 3)
    assert tree.head is cold
    assert tree.oldest_arrival == 0
