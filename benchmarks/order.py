"""CPU time of scheduling while 4,096 expands wait: `python benchmarks/order.py [OUT.json]`.

Each figure is the whole way of an expand through the admission: pushed, admitted, its samples done. The queue is kept
full: for each expand that goes another comes. Medians of several rounds of process time.
"""

from __future__ import annotations

import random
import statistics
import sys
import time

from machine import publish, where

from ets_client._core.admission import Admission
from ets_client._core.limiter import Limits
from ets_client._core.ticket import Ticket
from ets_client.prefix import Origin, Prefix

WAITING = 4096
ROUNDS = 9
EXPANDS = 4000
ROOT = 400


def make(chance: random.Random, roots: list[Prefix]) -> Ticket:
    tree, depth = chance.randrange(len(roots)), chance.randrange(2000)
    return Ticket(4, tree, chance.randrange(WAITING), ROOT + depth, root=roots[tree], path=depth, step=48)


def microseconds(trees: int, *, cancelled: float = 0.0) -> float:
    """Median CPU time an expand."""
    rounds: list[float] = []
    roots = [Prefix([tree] * ROOT, "", origin=Origin("none")) for tree in range(trees)]
    for number in range(ROUNDS):
        chance = random.Random(number)
        admission = Admission(Limits(first=256), kv_tokens=10**9)
        tickets = [make(chance, roots) for _ in range(WAITING + EXPANDS)]
        for ticket in tickets[:WAITING]:
            admission.push(ticket)
        running, went, now = [], 0, 0.0
        start = time.process_time()
        for ticket in tickets[WAITING:]:
            admission.push(ticket)
            if cancelled and chance.random() < cancelled:
                admission.cancel(ticket)
            while (admitted := admission.pop_ready(now)) is not None:
                running.append(admitted)
            now += 0.01
            ended = running.pop(0)
            admission.done(ended, now, samples=ended.running, tokens=48 * ended.running)
            went += 1
        rounds.append((time.process_time() - start) / max(went, EXPANDS) * 1e6)
    return round(statistics.median(rounds), 1)


def main(out: str | None) -> None:
    found = {
        "waiting": WAITING,
        "microseconds an expand": {
            "1 tree": microseconds(1),
            "64 trees": microseconds(64),
            "4,096 trees": microseconds(4096),
            "64 trees, a third cancelled": microseconds(64, cancelled=1 / 3),
        },
    }
    report = where("order") | found
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
