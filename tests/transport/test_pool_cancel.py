from __future__ import annotations

import asyncio
import random
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from ets_client._transport import lane as lane_module
from ets_client._transport.base import HttpRequest, TransportError
from tests.fakes import eventually
from tests.transport.pools import opened
from tests.transport.servers import OK, SocketServer, answer_ok, cut_in_the_body, hang_up, never_answer, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ets_client._transport.pool import Pool
    from tests.transport.servers import Answer

STEPS = 40  # of the loop: more than any request here takes


async def cancelled_after(steps: int, work: Coroutine[None, None, object]) -> BaseException | object:
    task = asyncio.create_task(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return result


async def some_turns(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def open_and_read(pool: Pool, url: str) -> None:
    stream = await pool.open(HttpRequest("POST", url, body=bytes(200_000)))
    try:
        async for _ in stream.chunks():
            pass
    finally:
        await stream.aclose()


@pytest.mark.parametrize(
    "work",
    [
        lambda pool, url: pool.send(HttpRequest("POST", url, body=b"{}")),
        lambda pool, url: pool.send(HttpRequest("POST", url, body=bytes(3_000_000))),
        open_and_read,
    ],
)
@pytest.mark.parametrize("is_warm", [False, True])
async def test_cancelling_at_every_step_leaks_nothing(
    work: Callable[[Pool, str], Coroutine[None, None, object]], *, is_warm: bool
) -> None:
    ends: set[type] = set()
    async with SocketServer(answer_ok).run() as server:
        for steps in range(STEPS):
            async with opened(1) as pool:
                if is_warm:
                    await pool.send(HttpRequest("GET", server.url))
                ends.add(type(await cancelled_after(steps, work(pool, server.url))))
                assert pool.stats().busy == 0
                assert (await pool.send(HttpRequest("GET", server.url))).body == b"ok"
    assert asyncio.CancelledError in ends
    assert len(ends) == 2  # the last steps came after the end


async def test_cancelling_while_it_waits_gives_up_its_place_and_no_more() -> None:
    async with SocketServer(answer_ok).run() as server:
        for steps in range(STEPS):
            async with opened(1) as pool:
                others = [asyncio.create_task(pool.send(HttpRequest("GET", server.url))) for _ in range(3)]
                await asyncio.sleep(0)
                await cancelled_after(steps, pool.send(HttpRequest("GET", server.url)))
                assert [(await other).body for other in others] == [b"ok"] * 3


async def test_cancelling_closes_its_own_connection_and_no_other() -> None:
    async with SocketServer(never_answer).run() as busy, SocketServer(answer_ok).run() as free, opened() as pool:
        await pool.send(HttpRequest("GET", free.url))
        work = asyncio.create_task(pool.send(HttpRequest("POST", busy.url)))
        await eventually(lambda: len(busy.requests) == 1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await eventually(lambda: busy.closed == 1)
        await pool.send(HttpRequest("GET", free.url))
        assert free.connections == 1


async def test_waiters_that_were_cancelled_take_no_memory() -> None:
    async with SocketServer(never_answer).run() as server, opened(1) as pool:
        running = asyncio.create_task(pool.send(HttpRequest("GET", server.url)))
        await eventually(lambda: len(server.requests) == 1)
        for _ in range(10):
            waiting = [asyncio.create_task(pool.send(HttpRequest("GET", server.url))) for _ in range(100)]
            await eventually(lambda: pool.stats().waiting == 100)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            assert pool.stats().waiting == 0
        running.cancel()
        await asyncio.wait([running])


async def ten_thousand_random_cancels() -> None:
    random_steps = random.Random(7)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await some_turns(random_steps.randrange(6))
        writer.write(OK)

    async with SocketServer(slow).run() as server, opened(10) as pool:
        outcomes = {"cancelled": 0, "done": 0}

        async def work() -> None:
            for _ in range(250):
                size = random_steps.choice([2, 2, 2, 100_000])
                request = HttpRequest("POST", server.url, body=bytes(size))
                result = await cancelled_after(random_steps.randrange(60), pool.send(request))
                if isinstance(result, asyncio.CancelledError):
                    outcomes["cancelled"] += 1
                else:
                    assert not isinstance(result, BaseException), result
                    outcomes["done"] += 1

        await asyncio.gather(*(work() for _ in range(40)))
        assert sum(outcomes.values()) == 10_000
        assert min(outcomes.values()) > 500
        stats = pool.stats()
        assert (stats.busy, stats.waiting) == (0, 0)
        assert stats.idle <= 10
        healthy = await asyncio.gather(*(pool.send(HttpRequest("POST", server.url)) for _ in range(100)))
        assert [reply.body for reply in healthy] == [b"ok"] * 100
        await eventually(lambda: server.connections - server.closed <= 10)


async def test_ten_thousand_random_cancels_leave_the_pool_whole() -> None:
    await ten_thousand_random_cancels()


def test_uvloop_cancels_as_well() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ten_thousand_random_cancels())


def test_asyncios_debug_mode_finds_nothing() -> None:
    async def use() -> None:
        async with SocketServer(answer_ok).run() as server, opened(4) as pool:
            await asyncio.gather(*(pool.send(HttpRequest("GET", server.url)) for _ in range(20)))
            await open_and_read(pool, server.url)
            with pytest.raises(TransportError):
                await pool.send(HttpRequest("GET", "http://127.0.0.1:1"))

    asyncio.run(use(), debug=True)


async def test_a_request_with_an_abort_keeps_its_connection_until_the_abort_brings_the_reply() -> None:
    stopped = asyncio.Event()

    async def answer_when_stopped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stopped.wait()
        await answer_ok(reader, writer)

    async with SocketServer(answer_when_stopped).run() as server, opened(1) as pool:
        for _ in range(3):
            stopped.clear()
            sending = asyncio.create_task(pool.send(HttpRequest("GET", server.url, has_abort=True)))
            requests = len(server.requests)
            await eventually(lambda before=requests: len(server.requests) > before)  # type: ignore[misc]
            sending.cancel()
            await asyncio.wait([sending])
            assert sending.cancelled()
            assert pool.stats().busy == 1  # the server has the request still
            after = asyncio.create_task(pool.send(HttpRequest("GET", server.url)))
            await eventually(lambda: pool.stats().waiting == 1)
            stopped.set()
            assert (await after).body == b"ok"
        assert server.connections == 1


async def test_a_reply_that_no_abort_brings_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "_ENDING_SECONDS", 0.02)
    async with SocketServer(never_answer).run() as server, opened(1) as pool:
        sending = asyncio.create_task(pool.send(HttpRequest("GET", server.url, has_abort=True)))
        await eventually(lambda: len(server.requests) == 1)
        sending.cancel()
        await asyncio.wait([sending])
        await eventually(lambda: pool.stats().busy == 0)
        await eventually(lambda: server.closed == 1)


@pytest.mark.parametrize("ends", [reset, cut_in_the_body, hang_up])
async def test_a_connection_that_breaks_while_its_end_is_awaited_gives_its_permit_back(ends: Answer) -> None:
    async with SocketServer(ends).run() as server, opened(1) as pool:
        sending = asyncio.create_task(pool.send(HttpRequest("GET", server.url, has_abort=True)))
        await eventually(lambda: any(lane.connections for lane in pool._lanes.values()))
        sending.cancel()
        await asyncio.wait([sending])
        await eventually(lambda: (pool.stats().busy, pool.stats().idle) == (0, 0))


async def test_closing_a_pool_does_not_wait_for_what_was_given_up() -> None:
    async with SocketServer(never_answer).run() as server, opened(1) as pool:
        sending = asyncio.create_task(pool.send(HttpRequest("GET", server.url, has_abort=True)))
        await eventually(lambda: len(server.requests) == 1)
        sending.cancel()
        await asyncio.wait([sending])
        await pool.aclose()
        await eventually(lambda: pool.stats().busy == 0)


async def test_what_has_not_gone_out_in_full_is_closed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with opened(1) as pool:
            request = HttpRequest("POST", url, body=bytes(50_000_000), has_abort=True)
            sending = asyncio.create_task(pool.send(request))
            await eventually(lambda: any(lane.connections for lane in pool._lanes.values()))
            sending.cancel()
            await asyncio.wait([sending])
            assert pool.stats().busy == 0
