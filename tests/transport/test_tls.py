from __future__ import annotations

import asyncio
import functools
import ssl

import pytest
import trustme
import uvloop

from ets_client._transport.base import HttpRequest, TransportError
from ets_client._transport.tls import tls_context
from tests.transport.pools import opened
from tests.transport.servers import SocketServer, answer, answer_ok, hang_up

AUTHORITY = trustme.CA()


@functools.cache
def server_side(name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name).configure_cert(context)
    return context


@functools.cache
def client_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    return context


async def use() -> None:
    async with SocketServer(answer_ok).run(server_side()) as server, opened(4, tls=client_side) as pool:
        for _ in range(5):
            assert (await pool.send(HttpRequest("POST", server.url, body=bytes(300_000)))).body == b"ok"
        assert server.connections == 1
        await asyncio.gather(*(pool.send(HttpRequest("GET", server.url)) for _ in range(50)))
        assert server.connections == 4
        stream = await pool.open(HttpRequest("GET", server.url))
        assert b"".join([piece async for piece in stream.chunks()]) == b"ok"
        await stream.aclose()
        assert pool.stats().idle == 4


async def test_requests_go_through_tls() -> None:
    await use()


def test_requests_go_through_tls_on_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use())


@pytest.mark.parametrize(("name", "tls"), [("127.0.0.1", tls_context), ("other.example", client_side)])
async def test_a_certificate_that_is_not_trusted_is_refused(name: str, tls: type) -> None:
    async with SocketServer(answer_ok).run(server_side(name)) as server, opened(tls=tls) as pool:
        with pytest.raises(TransportError, match=r"its certificate is not trusted .*SSL_CERT_FILE") as caught:
            await pool.send(HttpRequest("GET", server.url))
        assert not caught.value.was_sent
    assert server.requests == []


async def test_a_server_without_tls_is_told_apart() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listener, opened(tls=client_side) as pool:
        with pytest.raises(TransportError, match="is it an http:// address") as caught:
            await pool.send(HttpRequest("GET", f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"))
    assert not caught.value.was_sent


async def test_a_server_with_tls_on_a_plain_address_is_told_apart() -> None:
    async with SocketServer(answer_ok).run(server_side()) as server, opened() as pool:
        with pytest.raises(TransportError) as caught:
            await pool.send(HttpRequest("GET", server.url.replace("https", "http")))
        assert caught.value.was_sent
    assert server.requests == []


async def test_a_connection_with_tls_that_breaks_is_a_typed_error() -> None:
    for how in (hang_up, answer(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")):
        async with SocketServer(how).run(server_side()) as server, opened(tls=client_side) as pool:
            with pytest.raises(TransportError) as caught:
                await pool.send(HttpRequest("GET", server.url))
            assert (caught.value.was_sent, caught.value.was_idle) == (True, False)


async def test_cancelling_at_every_step_of_the_handshake_leaks_nothing() -> None:
    async with SocketServer(answer_ok).run(server_side()) as server:
        for steps in range(60):
            async with opened(1, tls=client_side) as pool:
                task = asyncio.create_task(pool.send(HttpRequest("GET", server.url)))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert pool.stats().busy == 0


def test_a_machine_without_authorities_gets_mozillas(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ssl.get_default_verify_paths()
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths._replace(cafile="", capath=""))
    context = tls_context.__wrapped__()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50
