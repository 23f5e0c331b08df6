from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from ets_client import (
    ConfigurationError,
    DeadlineExceededError,
    FailureKind,
    RetryPolicy,
    ServerBusyError,
    ServerState,
    ServerUnreachableError,
)
from ets_client._engine.deadline import Deadline
from ets_client._transport.base import HttpReply, HttpRequest, TransportError
from tests.engine.tries import FOREVER, FULL, REFUSED, RESET, failure, numbered
from tests.fakes import MODEL_INFO, Clock, Rig, eventually, reply


class TestOutage:
    async def test_a_server_that_is_gone_is_probed_and_what_was_in_flight_is_resent_once_it_is_back(self) -> None:
        rig = Rig(RESET, RESET, RESET, reply(), reply(), reply(), has_answered=True)
        rig.transport.probe_script = [REFUSED] * 20
        calls = [rig.caller.call(numbered(), bytes, FOREVER) for _ in range(3)]
        await asyncio.gather(*calls)
        assert len(rig.transport.requests) == 6
        assert rig.transport.probes == 21
        assert rig.losses == 20
        assert rig.server.budget.tokens > 10  # no resend was charged: the server was gone

    async def test_refused_connections_in_an_outage_are_no_tries(self) -> None:
        rig = Rig(*[REFUSED] * 30, reply(), has_answered=True, policy=RetryPolicy(attempts=2))
        for _ in range(30):
            rig.transport.probe_script += [REFUSED, reply()]
        await rig.caller.call(numbered(), bytes, FOREVER)
        assert len(rig.transport.requests) == 31

    async def test_refused_connections_of_a_server_that_answers_probes_are_tries(self) -> None:
        rig = Rig(*[REFUSED] * 30, has_answered=True, policy=RetryPolicy(attempts=3))
        error = await failure(rig)
        assert len(error.attempts) == 3

    async def test_new_calls_wait_too(self) -> None:
        rig = Rig(reply(), has_answered=True)
        rig.server.lost()
        rig.naps.end = asyncio.Event()
        rig.transport.probe_script = [REFUSED]
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await eventually(lambda: rig.naps.seconds == [0.1 * 0.75])
        assert rig.transport.requests == []
        rig.naps.end.set()
        assert await task == b"null"

    async def test_patience_has_an_end(self) -> None:
        rig = Rig(RESET, has_answered=True, policy=RetryPolicy(patience=30))
        clock = Clock()
        rig.naps.end = asyncio.Event()
        rig.transport.probe_script = [REFUSED] * 2
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await clock.jump(30, when=lambda: len(rig.naps.seconds) == 1)
        with pytest.raises(ServerUnreachableError, match="has been gone for 30 s") as caught:
            await task
        assert [attempt.kind for attempt in caught.value.attempts] == [FailureKind.DISCONNECT]
        await rig.caller.aclose()
        assert rig.transport.aborted == ["t1s1"]

    async def test_a_deadline_ends_the_wait_of_a_new_call(self) -> None:
        rig, clock = Rig(has_answered=True), Clock()
        rig.server.lost()
        rig.naps.end = asyncio.Event()
        rig.transport.probe_script = [REFUSED]
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, Deadline.after(5)))
        await clock.jump(5, when=lambda: len(rig.naps.seconds) == 1)
        with pytest.raises(DeadlineExceededError, match="no answer within 5 s"):
            await task
        await rig.caller.aclose()

    async def test_another_model_after_an_outage_is_an_error_for_all_that_wait(self) -> None:
        rig = Rig(RESET, has_answered=True)
        rig.server.expect_model("/models/another")
        with pytest.raises(ConfigurationError, match="now serves /models/tiny instead of /models/another"):
            await rig.caller.call(numbered(), bytes, FOREVER)

    @pytest.mark.parametrize("answer", [reply(MODEL_INFO), reply(b"what", 200), reply({"detail": "Not Found"}, 404)])
    async def test_any_answer_below_500_is_a_server(self, answer: HttpReply) -> None:
        rig = Rig(RESET, reply(), has_answered=True)
        rig.server.expect_model("/models/tiny")
        rig.transport.probe_script = [reply(b"bad gateway", 502), answer]
        await rig.caller.call(numbered(), bytes, FOREVER)
        assert rig.transport.probes == 2

    async def test_the_observer_hears_of_it(self) -> None:
        rig = Rig(RESET, reply(), has_answered=True)
        await rig.caller.call(numbered(), bytes, FOREVER)
        kinds = [type(event).__name__ for event in rig.events]
        assert kinds == ["ServerStateChanged", "AttemptFailed", "ServerStateChanged", "SamplesAborted"]

    async def test_an_observer_that_fails_is_told_no_more(self, caplog: pytest.LogCaptureFixture) -> None:
        rig = Rig(RESET, reply(), has_answered=True)
        rig.server._observer = never_again = Mock(side_effect=ZeroDivisionError)
        await rig.caller.call(numbered(), bytes, FOREVER)
        assert never_again.call_count == 1
        assert "the observer failed" in caplog.text


class TestFull:
    async def test_calls_wait_for_room_and_are_resent_when_there_is_some(self) -> None:
        rig = Rig(FULL, FULL, FULL, reply(), reply(), reply())
        await asyncio.gather(*(rig.caller.call(numbered(), bytes, FOREVER) for _ in range(3)))
        assert rig.server.gate.state is ServerState.UP
        assert rig.server.budget.tokens > 10  # nothing ran, so nothing is charged

    async def test_a_new_call_waits_behind_those_that_were_refused(self) -> None:
        rig = Rig(FULL, reply(), reply())
        rig.naps.end = asyncio.Event()
        first = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await eventually(lambda: rig.server.gate.waiting == 1)
        second = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await eventually(lambda: rig.server.gate.waiting == 2)
        assert len(rig.transport.requests) == 1
        rig.naps.end.set()
        await asyncio.gather(first, second)

    async def test_a_success_makes_room_for_one(self) -> None:
        gone = asyncio.Event()

        async def slow(request: HttpRequest) -> HttpReply:
            await gone.wait()
            return reply()

        rig = Rig(slow, FULL, reply())
        rig.naps.end = asyncio.Event()  # nobody is let through by time
        first = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await eventually(lambda: len(rig.transport.requests) == 1)
        second = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await eventually(lambda: rig.server.gate.waiting == 1)
        gone.set()
        await asyncio.gather(first, second)
        await rig.caller.aclose()

    async def test_a_server_that_stays_full_is_an_error_in_the_end(self) -> None:
        rig, clock = Rig(FULL, policy=RetryPolicy(patience=30)), Clock()
        rig.naps.end = asyncio.Event()
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await clock.jump(30, when=lambda: rig.server.gate.waiting == 1)
        with pytest.raises(ServerBusyError, match="has been full for 30 s") as caught:
            await task
        assert caught.value.status == 503
        await rig.caller.aclose()

    async def test_a_wait_that_the_server_asks_for_is_kept_but_for_the_policys_limit(self) -> None:
        asks = HttpReply(503, b"", {"retry-after": "3"}), HttpReply(503, b"", {"retry-after": "1000"})
        rig = Rig(*asks, reply(), policy=RetryPolicy(most_wait=5))
        await rig.caller.call(numbered(), bytes, FOREVER)
        assert {3.0, 5.0} < set(rig.naps.seconds)


class TestBudget:
    async def test_a_resend_waits_until_the_budget_has_one(self) -> None:
        fault = reply({"message": "broken"}, 500)
        rig = Rig(fault, reply(), policy=RetryPolicy(first_wait=0, most_wait=0))  # no other wait than the budget's
        while rig.server.budget.take(asyncio.get_running_loop().time()):
            pass
        clock, start = Clock(), asyncio.get_running_loop().time()
        rig.naps.end = asyncio.Event()
        task = asyncio.create_task(rig.caller.call(numbered(), bytes, FOREVER))
        await eventually(lambda: len(rig.naps.seconds) == 1)
        assert asyncio.get_running_loop().time() - start < 60
        assert len(rig.transport.requests) == 1
        await clock.jump(2, when=lambda: True)
        rig.naps.end.set()
        assert await task == b"null"
        assert rig.server.budget.tokens < 1

    async def test_a_stale_connection_costs_nothing(self) -> None:
        stale = TransportError("closed", was_sent=True, was_idle=True)
        rig = Rig(stale, reply(), has_answered=True, policy=RetryPolicy(attempts=1))
        await rig.caller.call(numbered(), bytes, FOREVER)
        assert rig.server.budget.tokens > 10
        assert (rig.transport.probes, rig.naps.seconds) == (0, [])
        assert rig.transport.aborted == ["t1s1"]  # it may have been read all the same
