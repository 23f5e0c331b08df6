"""What steps of one length cost under admission, on a model of a server: `python benchmarks/waves.py [OUT.json]`.

128 trees of the 1B shape on a server that runs 512 samples. They end together, and the next ones come one after the
other, at the client's CPU time an expand. The costs were fitted to the run without admission in
`results/tree_1b_h200_admission.json`; the limits of the same file say how well the model predicts.

Orders:
    as it is      trees that have started first, by turns
    even tail     once no tree waits to start, the least advanced of the started ones goes first
    early tail    the last 16 trees start at once, and from then on the least advanced goes first
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from machine import publish
from simulated.forest import UNBOUNDED, Forest, Shape
from simulated.server import Costs, Server

from ets_client._core.limiter import Limits
from ets_client._core.order import WaitingExpands, _Lane

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ets_client._core.ticket import Ticket

H200_1B = Costs(step=1.5e-3, sample=2.1e-5, context=1e-9, prefill=4e-6, prefill_more=2.5e-3)
KV = 1_900_000
RUNNING = 512
TREES = 128
LAST = 16
CLIENT_CPU = 0.66e-3
SHAPES = {"one length": Shape(), "exponential lengths": Shape(exponential=True)}


class EvenTail(_Lane):
    """The lane with another order at its end, by a walk through all trees: for a study, not for use."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self._last = last
        self._had: dict[Hashable, int] = {}

    def head(self) -> Ticket:
        if len(self._fresh) > self._last or not (self._fresh or self._started):
            return super().head()
        if self._fresh:
            return self._trees[self._fresh.first].head
        names = self._started.front(len(self._started))
        return self._trees[min(names, key=lambda name: self._had.get(name, 0))].head

    def take(self, ticket: Ticket) -> None:
        self._had[ticket.tree] = self._had.get(ticket.tree, 0) + ticket.samples
        super().take(ticket)

    def _fresh_is_overdue(self) -> bool:
        return 0 < len(self._fresh) <= self._last or super()._fresh_is_overdue()


class InAnotherOrder(WaitingExpands):
    def __init__(self, last: int) -> None:
        super().__init__()
        self._main = EvenTail(last)

    def enter(self, ticket: Ticket, free: int, spare: int, *, alone: bool) -> bool:  # noqa: ARG002 - all are pushed
        return False


def run(
    limits: Limits, shape: Shape, client_cpu: float, last: int | None = None, *, trees: int = TREES
) -> dict[str, Any]:
    """One run; ``last``: trees of the other orders' early start."""
    forest = Forest(Server(H200_1B, KV, RUNNING), shape, trees, limits, client_cpu=client_cpu)
    if last is not None:
        forest.admission._waiting = InAnotherOrder(last)
    found = forest.run()
    return {
        "tokens_per_second": found.tokens_per_second, "p50": found.p50, "first": round(min(forest.finished), 2),
        "half": found.half_done, "all": found.makespan,
    }  # fmt: skip


def study(shape: Shape, client_cpu: float) -> dict[str, dict[str, Any]]:
    """Limits and orders, and what they are of the run without admission."""
    rows = {"none": run(Limits.fixed(UNBOUNDED), shape, client_cpu)}
    for limit in (512, 640, 704, 1024):
        for order, last in (("as it is", None), ("even tail", 0), ("early tail", LAST)):
            rows[f"{limit}, {order}"] = run(Limits.fixed(limit), shape, client_cpu, last)
    rows["adaptive"] = run(Limits.around(RUNNING, RUNNING), shape, client_cpu)
    return compared(rows)


def crowds() -> dict[str, dict[str, Any]]:
    """The same with more trees and with fewer."""
    rows: dict[str, dict[str, Any]] = {}
    for trees in (96, 128, 150, 200, 256, 400):
        limits = {"none": UNBOUNDED, "640": 640, "1024": 1024}
        found = {
            name: run(Limits.fixed(limit), Shape(), CLIENT_CPU, trees=trees) for name, limit in limits.items()
        }  # fmt: skip
        rows |= {f"{trees} trees, {name}": row for name, row in compared(found).items()}
    return rows


def compared(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for row in rows.values():
        for name in ("tokens_per_second", "half"):
            row[f"{name} / none"] = round(row[name] / rows["none"][name], 3)
    return rows


def main(out: str | None) -> None:
    report: dict[str, Any] = {
        "benchmark": "waves", "note": "a model, not a measurement", "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    for name, shape in SHAPES.items():
        for seconds in (CLIENT_CPU, CLIENT_CPU / 2, 0.1e-3):
            report[f"{name}, client {seconds * 1000:.2f} ms an expand"] = study(shape, seconds)
    report["more trees and fewer"] = crowds()
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
