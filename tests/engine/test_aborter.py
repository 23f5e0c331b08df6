from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ets_client._engine.aborter import Aborter, Live
from ets_client._engine.counters import Counters
from ets_client._transport.base import HttpReply, HttpRequest, TransportError
from tests.fakes import Clock, FakeTransport, eventually, never

if TYPE_CHECKING:
    from ets_client.events import ClientEvent

RESET = TransportError("reset", was_sent=True)
IDLE = TransportError("reset", was_sent=True, was_idle=True)


class Site:
    """A server that takes the aborts which are let through."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.transport.send = self._send  # type: ignore[method-assign]
        self.events: list[ClientEvent] = []
        self.counters = Counters()
        self.aborter = Aborter(self.transport, self.counters, self.events.append)
        self.open: list[asyncio.Future[None]] = []
        self.taken: list[str] = []
        self.fences = 0

    async def _send(self, request: HttpRequest) -> HttpReply:
        gate = asyncio.get_running_loop().create_future()
        self.fences += request.is_fresh
        self.open.append(gate)
        try:
            await gate
        finally:
            self.open.remove(gate)
        self.taken.append(json.loads(request.body)["rid"])
        return HttpReply(200, b"")

    def let(self, count: int) -> None:
        for gate in self.open[:count]:
            gate.set_result(None)


def live(count: int, base: str = "http://a", **more: float) -> Live:
    return Live(base, {}, tuple(f"{base[-1]}{place}" for place in range(count)), **more)


async def test_thousands_at_once_go_out_six_at_a_time_and_none_is_lost_while_the_server_takes_them() -> None:
    site, clock = Site(), Clock()
    stops = [asyncio.ensure_future(site.aborter.stop(live(20))) for _ in range(6)]
    for done in range(0, 120, 6):
        await eventually(lambda done=done: len(site.taken) == done and len(site.open) == 6)  # type: ignore[misc]
        await clock.jump(1.9, when=lambda: True)  # 38 s in all
        site.let(6)
    assert await asyncio.gather(*stops) == [True] * 6
    assert (len(site.taken), site.counters.aborts, len(site.events)) == (120, 120, 6)


async def test_a_server_that_takes_none_gets_none_of_those_that_wait_and_another_gets_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site, clock = Site(), Clock()
    silent, other = (asyncio.ensure_future(site.aborter.stop(each)) for each in (live(50), live(2, "http://b")))
    await clock.jump(2.0, when=lambda: len(site.open) == 6)
    assert await silent is False
    await eventually(lambda: len(site.open) == 2)
    site.let(2)
    assert await other is True
    assert site.taken == ["b0", "b1"]
    assert "http://a took no abort for 2 s: 45 samples may run on" in caplog.text


async def test_a_client_closes_also_when_the_last_abort_ends_just_as_the_time_for_it_is_over() -> None:
    site, clock, begins = Site(), Clock(), asyncio.Event()

    async def end_late() -> None:
        await begins.wait()
        await clock.jump(5, when=lambda: True)

    site.aborter.detach(end_late())
    finishing = asyncio.ensure_future(site.aborter.finish())
    await asyncio.sleep(0)
    begins.set()
    await finishing


async def test_one_abort_that_is_lost_does_not_stop_the_others() -> None:
    site, clock = Site(), Clock()
    stopping = asyncio.ensure_future(site.aborter.stop(live(8)))
    await eventually(lambda: len(site.open) == 6)
    lost = site.open[0]
    for gate in site.open[1:]:
        gate.set_result(None)
    await eventually(lambda: len(site.taken) == 5 and len(site.open) == 3)
    for gate in [gate for gate in site.open if gate is not lost]:
        gate.set_result(None)
    await eventually(lambda: len(site.taken) == 7)
    await clock.jump(2.0, when=lambda: True)
    assert await stopping is False


async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    site = Site()
    stopping = asyncio.ensure_future(site.aborter.stop(live(50)))
    await eventually(lambda: len(site.open) == 6)
    stopping.cancel()
    await asyncio.wait([stopping])
    site.let(6)
    await site.aborter.finish()
    assert len(site.taken) == 6


@pytest.mark.parametrize(("error", "aborts"), [(RESET, 2), (IDLE, 2), (TransportError("refused", was_sent=False), 1)])
async def test_an_abort_whose_connection_breaks_is_sent_once_more(error: TransportError, aborts: int) -> None:
    transport = FakeTransport()
    transport.abort_script = [error]
    assert await Aborter(transport, Counters(), lambda _: None).stop(live(1))
    assert len(transport.aborts) == aborts


async def test_a_transport_that_raises_anything_is_an_abort_that_was_not_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = FakeTransport()
    transport.abort_script = [ZeroDivisionError()]
    assert await Aborter(transport, Counters(), lambda _: None).stop(live(1)) is False
    assert "the abort of a sample at http://a failed" in caplog.text


async def test_the_abort_of_a_request_that_went_out_just_now_is_repeated_after_a_second() -> None:
    transport, clock = FakeTransport(), Clock()
    aborter, now = Aborter(transport, Counters(), lambda _: None), asyncio.get_running_loop().time
    aborter.stop_later(live(1, "http://a", sent=now() - 2.0))
    aborter.stop_later(live(1, "http://b", sent=now() - 0.5))
    await clock.jump(0.5, when=lambda: transport.aborted == ["a0", "b0"])
    aborter.stop_later(live(1, "http://c", sent=now()))
    await clock.jump(0.5, when=lambda: len(transport.aborts) == 3)
    await clock.jump(0.5, when=lambda: transport.aborted == ["a0", "b0", "c0", "b0"])
    await eventually(lambda: transport.aborted == ["a0", "b0", "c0", "b0", "c0"])
    await aborter.finish()
    assert len(transport.aborts) == 5


async def test_what_is_repeated_waits_until_an_abort_on_a_new_connection_was_answered() -> None:
    site, clock = Site(), Clock()
    now = asyncio.get_running_loop().time
    stopping = asyncio.ensure_future(site.aborter.stop(live(5, sent=now())))
    await eventually(lambda: len(site.open) == 5)
    site.let(5)
    assert await stopping
    await clock.jump(1.0, when=lambda: not site.open)
    await eventually(lambda: len(site.open) == 1)
    # What becomes due meanwhile waits for a fence of its own: the probes need connections too.
    site.aborter.stop_later(live(2, "http://a", sent=now()))
    await eventually(lambda: len(site.open) == 3)
    for gate in site.open[1:]:
        gate.set_result(None)
    await clock.jump(3.0, when=lambda: len(site.open) == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (len(site.open), site.fences, len(site.taken)) == (1, 1, 7)
    site.let(1)
    await eventually(lambda: len(site.open) == 5 and site.fences == 2)
    site.let(5)
    await eventually(lambda: len(site.open) == 1)
    site.let(1)
    await site.aborter.finish()
    assert sorted(site.taken) == sorted(["a0", "a1", "a2", "a3", "a4"] * 2 + ["a0", "a1"] * 2)


async def test_a_server_that_reads_late_gets_older_aborts_twice_too() -> None:
    site, clock = Site(), Clock()
    now = asyncio.get_running_loop().time
    for age, repeats in ((0.0, 1), (5.0, 1), (9.0, 0)):  # the first fence takes 3 s, and after the second no time
        count = len(site.taken)
        site.aborter.stop_later(live(1, sent=now() - age))
        await eventually(lambda: len(site.open) == 1)
        site.let(1)
        await clock.jump(1.0, when=lambda: not site.open)
        if repeats:
            await clock.jump(0.0 if age else 3.0, when=lambda: len(site.open) == 1)
            site.let(1)
        await eventually(lambda count=count, repeats=repeats: len(site.taken) == count + 1 + repeats)  # type: ignore[misc]
    await site.aborter.finish()
    assert len(site.taken) == 5


async def test_a_fence_that_is_never_answered_holds_nothing_up_for_long() -> None:
    site, clock = Site(), Clock()
    site.aborter.stop_later(live(3, sent=asyncio.get_running_loop().time()))
    await eventually(lambda: len(site.open) == 3)
    site.let(3)
    await clock.jump(1.0, when=lambda: not site.open)
    await clock.jump(10.0, when=lambda: len(site.open) == 1)
    await eventually(lambda: len(site.open) == 3)
    site.let(3)
    await site.aborter.finish()
    assert site.taken == ["a0", "a1", "a2"] * 2


async def test_closing_shortens_the_wait_for_a_fence() -> None:
    site, clock = Site(), Clock()
    site.aborter.stop_later(live(2, sent=asyncio.get_running_loop().time()))
    await eventually(lambda: len(site.open) == 2)
    site.let(2)
    await clock.jump(1.0, when=lambda: not site.open)
    await eventually(lambda: len(site.open) == 1)
    finishing = asyncio.ensure_future(site.aborter.finish())
    await asyncio.sleep(0)
    await clock.jump(2.0, when=lambda: True)
    await eventually(lambda: len(site.open) == 2)
    site.let(2)
    await finishing
    assert site.taken == ["a0", "a1"] * 2


async def test_a_fence_that_a_transport_fails_on_is_no_reason_to_repeat_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport, clock = FakeTransport(), Clock()
    aborter = Aborter(transport, Counters(), lambda _: None)
    aborter.stop_later(live(2, sent=asyncio.get_running_loop().time()))
    await eventually(lambda: len(transport.aborts) == 2)
    transport.abort_script = [ZeroDivisionError()]
    await clock.jump(1.0, when=lambda: True)
    await eventually(lambda: transport.aborted == ["a0", "a1", "a0", "a0", "a1"])
    await aborter.finish()
    assert "the abort of a sample at http://a failed" in caplog.text


async def test_closing_repeats_at_once_what_would_be_repeated_later_and_takes_no_more() -> None:
    transport = FakeTransport()
    aborter = Aborter(transport, Counters(), lambda _: None)
    aborter.stop_later(live(2, sent=asyncio.get_running_loop().time()))
    await aborter.finish()
    assert transport.aborted == ["a0", "a1", "a0", "a1"]
    assert await aborter.stop(live(1)) is False
    aborter.stop_later(live(1))
    assert len(transport.aborts) == 4
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_does_not_wait_for_a_slow_server_for_long(caplog: pytest.LogCaptureFixture) -> None:
    site, clock = Site(), Clock()
    stopping = asyncio.ensure_future(site.aborter.stop(live(50)))
    await eventually(lambda: len(site.open) == 6)
    finishing = asyncio.ensure_future(site.aborter.finish())
    for done in (0, 6):
        await clock.jump(1.5, when=lambda done=done: len(site.taken) == done and len(site.open) == 6)  # type: ignore[misc]
        site.let(6)
    await clock.jump(1.5, when=lambda: len(site.taken) == 12)
    await finishing
    assert await stopping is False
    assert "aborts unsent" in caplog.text
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_silent_abort_is_given_up() -> None:
    transport, clock = FakeTransport(), Clock()
    transport.abort_script = [never]
    stopping = asyncio.ensure_future(Aborter(transport, Counters(), lambda _: None).stop(live(1)))
    await clock.jump(2.0, when=lambda: len(transport.aborts) == 1)
    assert await stopping is False
