from __future__ import annotations

import asyncio
from threading import Thread

import pytest

from ets_client import Ledger
from ets_client._engine.bookkeeper import ACCOUNT, Bookkeeper
from ets_client._wire.generate import WireFinish, WireMeta, WireSample
from tests.fakes import root


def reply(ids: list[int], prompt: int, cached: int = 0) -> WireSample:
    meta = WireMeta(id="r", prompt_tokens=prompt, cached_tokens=cached, completion_tokens=len(ids))
    return WireSample(text="", output_ids=ids, meta_info=meta)


def test_events_are_entered_at_once() -> None:
    now = [0.0]
    books = Bookkeeper(lambda: now[0])
    prefix = root([1, 2, 3])
    books.expand(prefix)
    books.answer(None, prefix, 0, [reply([4, 5], 3)])
    books.unanswered(None, prefix, 2)
    now[0] = 10.0
    ledger = books.ledger(7, 2.0)
    assert (ledger.cached, ledger.kv_bytes_per_token) == (7, 2.0)
    total = ledger.total
    assert (total.expands, total.samples, total.unanswered, total.live_token_seconds) == (1, 1, 2, 50.0)
    assert repr(books) == "Bookkeeper(Accounts(1 open, 5 live tokens), 0 events noted)"


def test_a_request_is_one_event_and_each_of_its_samples_counts_for_what_it_did() -> None:
    books, aborted = Bookkeeper(), WireFinish(type="abort")
    never_ran = WireSample(meta_info=WireMeta(id="a", finish_reason=aborted))
    had_nothing = WireSample(meta_info=WireMeta(id="b", finish_reason=aborted, prompt_tokens=3, cached_tokens=2))
    prefill = reply([], 3, 1)
    books.answer(None, root([1, 2, 3]), 2, [reply([4, 5], 3, 2), never_ran, had_nothing, reply([6], 3, 2), prefill])
    total = books.ledger(0, None).total
    assert (total.samples, total.prefills, total.generated, total.live) == (4, 1, 3, 6)
    assert (total.asked, total.reused, total.predicted, total.least) == (12, 7, 8, 3 + 1 + 1)


def test_a_tree_is_that_of_the_context() -> None:
    books = Bookkeeper()
    tree = books.open("one")
    token = ACCOUNT.set(tree)
    books.expand(root([1]))
    ACCOUNT.reset(token)
    books.expand(root([1]))
    assert books.row(tree).expands == 1
    books.close(tree)
    assert [(row.name, row.expands) for row in books.ledger(0, None).trees] == [("one", 1), ("<eos>", 1)]


@pytest.mark.parametrize("last", ["another", "the reader"])
def test_while_somebody_reads_events_are_noted_and_entered_in_order_afterwards(last: str) -> None:
    books, prefix = Bookkeeper(), root([1, 2, 3])
    with books._lock:
        books.expand(prefix)
        books.answer(None, prefix, 0, [reply([4, 5], 3)])
        assert repr(books) == "Bookkeeper(Accounts(0 open, 0 live tokens), 2 events noted)"
    if last == "another":
        books.unanswered(None, prefix, 2)
        assert repr(books) == "Bookkeeper(Accounts(1 open, 5 live tokens), 0 events noted)"
    total = books.ledger(0, None).total
    assert (total.expands, total.samples, total.live) == (1, 1, 5)
    assert repr(books).endswith(", 0 events noted)")


async def test_reading_it_in_other_threads_loses_nothing() -> None:
    books, seen, prefix = Bookkeeper(), list[Ledger](), root([1])
    done = asyncio.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(books.ledger(0, None))

    threads = [Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(5000):
        books.answer(None, prefix, 0, [reply([number], 1)])
    done.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    samples = [ledger.total.samples for ledger in seen]
    assert books.ledger(0, None).total.samples == 5000
    assert all(0 <= count <= 5000 for count in samples)


def test_a_prune_counts_what_came_before_it() -> None:
    books = Bookkeeper()
    prefix = root([1])
    books.answer(None, prefix, 0, [reply([4, 5], 1)])
    assert books.prune(None, [prefix]) == [prefix]
    assert books.ledger(0, None).total.live_peak == 3
    assert books.ledger(0, None).total.live == 0


@pytest.mark.parametrize("retractions", [None, 2])
def test_a_retraction_is_counted(retractions: int | None) -> None:
    books, one = Bookkeeper(), reply([4], 1)
    one.meta_info.num_retractions = retractions
    books.answer(None, root([1]), 0, [one])
    assert books.ledger(0, None).total.retractions == (retractions or 0)
