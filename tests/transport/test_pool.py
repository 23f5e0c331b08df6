from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from ets_client._transport.base import HttpRequest, TransportError
from ets_client._transport.pool import Pool
from tests.fakes import Clock, eventually
from tests.transport.pools import opened
from tests.transport.servers import OK, SocketServer, answer, answer_and_close, answer_ok, never_answer


async def test_a_request_goes_out_as_it_is() -> None:
    async with SocketServer(answer_ok).run() as server, opened() as pool:
        reply = await pool.send(HttpRequest("POST", f"{server.url}/generate", {"X-Key": "k"}, b"{}"))
    assert (reply.status, reply.body, reply.headers) == (200, b"ok", {"content-length": "2"})
    (sent,) = server.requests
    assert sent.startswith(b"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-Key: k\r\n" in sent
    assert sent.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")


async def test_a_connection_is_used_again_and_the_last_one_first() -> None:
    async with SocketServer(answer_ok).run() as server, opened(8) as pool:
        for _ in range(5):
            await pool.send(HttpRequest("GET", server.url))
        assert server.connections == 1
        await asyncio.gather(*(pool.send(HttpRequest("GET", server.url)) for _ in range(8)))
        idle = pool.stats().idle
        for _ in range(5):
            await pool.send(HttpRequest("GET", server.url))
        assert pool.stats().idle == idle == server.connections == 8
    assert len(server.requests) == 18


async def test_a_question_whether_the_server_takes_connections_goes_out_on_a_new_one() -> None:
    async with SocketServer(answer_ok).run() as server, opened(1) as pool:
        for _ in range(2):
            await pool.send(HttpRequest("GET", server.url, is_fresh=True))
        assert server.connections == 2
        waiting = [pool.send(HttpRequest("GET", server.url, is_fresh=is_fresh)) for is_fresh in (False, True, False)]
        await asyncio.gather(*waiting)
        assert server.connections == 3
        assert pool.stats().idle == 1


async def test_a_burst_opens_no_more_connections_than_there_are_permits() -> None:
    async with SocketServer(answer_ok).run() as server, opened(10) as pool:
        burst = asyncio.gather(*(pool.send(HttpRequest("GET", server.url)) for _ in range(100)))
        await eventually(lambda: pool.stats().waiting == 90)
        assert pool.stats().busy == 10
        await burst
        stats = pool.stats()
    assert server.connections == stats.opened == 10
    assert (stats.requests, stats.received_bytes) == (100, 200)


async def test_sixty_workers_open_sixty_connections() -> None:
    async with SocketServer(answer_ok).run() as server, opened(100) as pool:

        async def work() -> None:
            for _ in range(20):
                await pool.send(HttpRequest("GET", server.url))

        await asyncio.gather(*(work() for _ in range(60)))
    assert server.connections <= 60
    assert len(server.requests) == 1200


async def test_requests_are_let_in_in_the_order_in_which_they_came() -> None:
    async with SocketServer(answer_ok).run() as server, opened(1) as pool:
        await asyncio.gather(*(pool.send(HttpRequest("GET", f"{server.url}/{number}")) for number in range(50)))
    assert [int(request.split()[1][1:]) for request in server.requests] == list(range(50))


async def test_control_requests_do_not_wait_behind_work_and_have_eight_connections() -> None:
    release = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(OK)

    async with SocketServer(hold).run() as server, opened(2) as pool:
        work = [asyncio.create_task(pool.send(HttpRequest("POST", server.url))) for _ in range(5)]
        control = [asyncio.create_task(pool.send(HttpRequest("POST", server.url, lane="control"))) for _ in range(9)]
        await eventually(lambda: len(server.requests) == 10)
        assert (pool.stats().busy, pool.stats().waiting) == (10, 4)
        release.set()
        await asyncio.gather(*work, *control)


async def test_an_idle_connection_is_used_for_60_percent_of_the_time_that_the_server_keeps_it() -> None:
    clock = Clock()
    async with SocketServer(answer_ok).run() as server, opened(keep_alive_seconds=10) as pool:
        for idle, connections in [(0.0, 1), (5.5, 1), (6.5, 2)]:
            await clock.jump(idle, when=lambda: True)
            await pool.send(HttpRequest("GET", server.url))
            assert server.connections == connections


async def test_servers_do_not_share_permits() -> None:
    async with SocketServer(never_answer).run() as busy, SocketServer(answer_ok).run() as free, opened(1) as pool:
        work = asyncio.create_task(pool.send(HttpRequest("POST", busy.url)))
        await eventually(lambda: len(busy.requests) == 1)
        assert (await pool.send(HttpRequest("GET", free.url))).body == b"ok"
        work.cancel()
        await asyncio.wait([work])


async def test_servers_that_are_no_longer_used_are_forgotten() -> None:
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with SocketServer(answer_and_close(last)).run() as server, opened() as pool:
        await pool.send(HttpRequest("GET", server.url))
        for port in range(1, 200):
            with pytest.raises(TransportError):
                await pool.send(HttpRequest("GET", f"http://127.0.0.2:{port}"))
        assert len(pool._lanes) <= 64
        assert pool.stats().opened == 1


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_a_body_of_any_size_arrives(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with SocketServer(answer_ok).run() as server, opened() as pool:
        for _ in range(2):
            await pool.send(HttpRequest("POST", server.url, body=body[:size]))
    assert [sent.partition(b"\r\n\r\n")[2] == body[:size] for sent in server.requests] == [True, True]
    assert server.connections == 1


async def test_a_large_body_is_not_piled_up_for_a_server_that_does_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with opened() as pool:
            sending = asyncio.create_task(pool.send(HttpRequest("POST", url, body=bytes(50_000_000))))
            await eventually(lambda: any(lane.connections for lane in pool._lanes.values()))
            (lane,) = pool._lanes.values()
            (connection,) = lane.connections
            await eventually(lambda: connection._is_unwritable)
            assert connection._transport is not None
            assert connection._transport.get_write_buffer_size() < 200_000
            sending.cancel()
            await asyncio.wait([sending])


async def test_a_refusal_that_comes_before_the_whole_request_went_out_is_the_reply() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await done.wait()
        writer.close()

    done = asyncio.Event()
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, opened() as pool:
        reply = await pool.send(HttpRequest("POST", url, body=bytes(50_000_000)))
        assert (reply.status, reply.body) == (413, b"big")
        assert pool.stats().idle == 0  # the rest of the request is still owed: nothing else may go out there
        done.set()


@pytest.mark.parametrize(
    "data",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"more",
        OK + OK,
    ],
)
async def test_a_connection_is_not_used_again_after_such_a_reply(data: bytes) -> None:
    async with SocketServer(answer(data)).run() as server, opened() as pool:
        for _ in range(3):
            assert (await pool.send(HttpRequest("GET", server.url))).body == b"ok"
        assert pool.stats().idle == 0
    assert server.connections == 3


async def test_bytes_that_come_after_the_reply_close_the_connection() -> None:
    late = asyncio.Event()

    async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await late.wait()
        writer.write(b"more")

    async with SocketServer(more).run() as server, opened() as pool:
        await pool.send(HttpRequest("GET", server.url))
        assert pool.stats().idle == 1
        late.set()
        await eventually(lambda: pool.stats().idle == 0)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_replies_of_every_form_are_read_and_the_connection_used_again(data: bytes, body: bytes) -> None:
    async with SocketServer(answer(data)).run() as server, opened() as pool:
        for _ in range(3):
            assert (await pool.send(HttpRequest("GET", server.url))).body == body
    assert server.connections == 1


async def test_a_reply_may_end_with_the_connection() -> None:
    async with SocketServer(answer_and_close(b"HTTP/1.1 200 OK\r\n\r\nok")).run() as server, opened() as pool:
        assert (await pool.send(HttpRequest("GET", server.url))).body == b"ok"
        assert pool.stats().idle == 0


async def test_the_sockets_options_are_set() -> None:
    async with SocketServer(answer_ok).run() as server, opened() as pool:
        await pool.send(HttpRequest("GET", server.url))
        (lane,) = pool._lanes.values()
        (connection,) = lane.connections
        assert connection._transport is not None
        raw = connection._transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [raw.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [60, 60, 5]


async def test_an_idle_connection_is_closed_at_sixty_percent_of_the_servers_time() -> None:
    async with SocketServer(answer_ok).run() as server, opened(keep_alive_seconds=5) as pool:
        clock = Clock()
        await pool.send(HttpRequest("GET", server.url))
        await clock.jump(2.9, lambda: True)
        await pool.send(HttpRequest("GET", server.url))
        assert server.connections == 1
        await clock.jump(3.1, lambda: True)
        await eventually(lambda: server.closed == 1)
        assert pool.stats().idle == 0
        await pool.send(HttpRequest("GET", server.url))
        assert server.connections == 2


async def test_closing_ends_what_runs_what_connects_and_what_waits() -> None:
    async with SocketServer(never_answer).run() as server:
        pool = Pool(connections=2, keep_alive_seconds=5)
        tasks = [asyncio.create_task(pool.send(HttpRequest("POST", server.url))) for _ in range(4)]
        await eventually(lambda: len(server.requests) == 2)
        late = asyncio.create_task(pool.send(HttpRequest("POST", server.url, lane="control")))
        await asyncio.sleep(0)  # it connects
        await pool.aclose()
        errors = await asyncio.gather(*tasks, late, return_exceptions=True)
        with pytest.raises(TransportError, match="the pool was closed"):
            await pool.send(HttpRequest("GET", server.url))
        await pool.aclose()
        stats = pool.stats()
    assert all(isinstance(error, TransportError) and "the pool was closed" in str(error) for error in errors)
    assert [error.was_sent for error in errors if isinstance(error, TransportError)] == [True] * 2 + [False] * 3
    assert (stats.busy, stats.idle, stats.waiting) == (0, 0, 0)


def test_a_pool_belongs_to_one_event_loop() -> None:
    pool = Pool(connections=1, keep_alive_seconds=5)

    async def use() -> None:
        with pytest.raises(TransportError):
            await pool.send(HttpRequest("GET", "http://127.0.0.1:1"))

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use())


async def test_a_connection_that_comes_after_the_pool_was_closed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def connect_late(*arguments: Any, **options: Any) -> Any:
        pair = await connect(*arguments, **options)
        pool._is_closed = True
        for lane in pool._lanes.values():
            lane._is_closed = True  # as if aclose() had come just now, too late to end the connecting
        return pair

    monkeypatch.setattr(loop, "create_connection", connect_late)
    async with SocketServer(answer_ok).run() as server, opened() as pool:
        with pytest.raises(TransportError, match="the pool was closed") as caught:
            await pool.send(HttpRequest("GET", server.url))
        assert not caught.value.was_sent
        await eventually(lambda: server.closed == 1)
    assert server.requests == []
