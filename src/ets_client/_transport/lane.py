"""The connections to one server for one kind of request: who may have one, and which."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING

from .addresses import Addresses
from .base import TransportError
from .connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from .intake import Intake
    from .origin import Origin

__all__ = ["Lane"]

_ENDING_SECONDS = 1.5  # an abort takes milliseconds, and is repeated after a second


class Lane:
    """Permits for exchanges, and idle connections to use them on.

    A permit is taken when a request is let in, not when it finds a connection: at no time are there more connections
    than permits, and nobody looks for one that another has been promised. Requests are let in in the order in which
    they came; the connection that was used last is used first, so that those that a burst needed grow old and go.
    Every step takes constant time.

    Attributes:
        opened: connections opened so far.
        used: permits that are taken.
        idle: connections that wait, with the time at which each is too old; the one used last is last.
        connections: all that are open.
    """

    def __init__(
        self,
        origin: Origin,
        capacity: int,
        *,
        expiry: float,
        connect_seconds: float | None,
        intake: Intake,
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        """Open no connection yet.

        Args:
            origin: the server.
            capacity: most connections.
            expiry: seconds after which an idle connection is closed.
            connect_seconds: to connect within, TLS included; None for no limit.
            intake: what replies are read with.
            tls: gives the context for https.
        """
        self.origin = origin
        self.opened = 0
        self.used = 0
        self.idle: dict[Connection, float] = {}
        self.connections: set[Connection] = set()
        self._capacity = capacity
        self._expiry = expiry
        self._connect_seconds = connect_seconds
        self._intake = intake
        self._addresses = Addresses(origin)
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._waiters: OrderedDict[asyncio.Future[Connection | None], None] = OrderedDict()
        self._dials: set[asyncio.Timeout] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Requests that wait for a permit."""
        return len(self._waiters)

    async def admit(self, *, is_fresh: bool = False) -> Connection | None:
        """Take a permit, which :meth:`give_back` returns.

        Args:
            is_fresh: whether no idle connection will do; they are closed.

        Returns:
            An idle connection, or None: :meth:`connect` opens one.

        Raises:
            TransportError: the pool was closed.
        """
        if self._is_closed:
            raise _closed()
        if self.used >= self._capacity:
            return await self._wait(is_fresh=is_fresh)
        self.used += 1
        now = self._loop.time()
        while self.idle:
            connection, until = self.idle.popitem()
            if now < until and not is_fresh and connection.is_alive():
                return connection
            connection.close()
        return None

    async def connect(self) -> Connection:
        """Open a connection on a permit.

        Raises:
            TransportError: it could not be opened; its cause is a TimeoutError when that took too long.
        """
        connection = Connection(self._loop, self._intake, self)
        timeout = asyncio.timeout(self._connect_seconds)
        self._dials.add(timeout)
        try:
            async with timeout:
                await self._dial(connection)
        except BaseException as error:
            connection.close()
            if self._is_closed and timeout.expired():
                raise _closed() from error
            if isinstance(error, OSError | UnicodeError):
                raise self._unreachable(_words(error, timeout, self._connect_seconds)) from error
            raise
        finally:
            self._dials.discard(timeout)
        if self._is_closed:
            connection.close()
            raise _closed()
        if connection.is_closed:
            raise self._unreachable("it accepted the connection and closed it")
        self.opened += 1
        self.connections.add(connection)
        return connection

    def give_back(self, connection: Connection | None) -> None:
        """Return a permit, with the connection that was used on it; one that cannot be used again is closed."""
        if connection is not None and not connection.is_reusable():
            connection.close()
            if connection.was_stale():  # so are the others, which are older: the next request must not meet them
                self._close_idle()
            connection = None
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.used -= 1
        if connection is not None:
            self.idle[connection] = self._loop.time() + self._expiry
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._expiry, self._close_old)

    def let_end(self, connection: Connection) -> None:
        """Return a permit when the reply to a request that was given up has come, 1.5 s later at most.

        The server has that request still, so it counts. And new connections are dear: a server on uvloop, as SGLang is,
        accepts one in each turn of its loop (libuv), so that what comes on one may be read seconds after its abort, and
        run. 1,000 cancels, each with a new connection, left 200 of 580 samples that no abort had reached.
        """
        self._await_end(connection, self._loop.call_later(_ENDING_SECONDS, connection.close))

    def _await_end(self, connection: Connection, timer: asyncio.TimerHandle) -> None:
        news = connection.ending()
        if news is None:
            timer.cancel()
            self.give_back(connection)
        else:
            news.add_done_callback(lambda _: self._await_end(connection, timer))

    def close(self) -> None:
        """Close everything; requests that run or wait end with an error."""
        self._is_closed = True
        self._addresses.close()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self.connections):
            connection.close(TransportError("the pool was closed", was_sent=True))
        for timeout in self._dials:
            if not timeout.expired():
                timeout.reschedule(self._loop.time())
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_closed())
                waiter.exception()  # its task may have been cancelled just now and never look

    def lost(self, connection: Connection) -> None:
        """Told by a connection whose socket is closed, by whomever."""
        self.idle.pop(connection, None)
        self.connections.discard(connection)

    async def _dial(self, connection: Connection) -> None:
        name, context = None, None
        if self.origin.scheme == "https":
            name, context = self.origin.host, await asyncio.to_thread(self._tls)  # the first reads files
        raw = await self._connected_socket()
        try:
            await self._loop.create_connection(lambda: connection, sock=raw, ssl=context, server_hostname=name)
        except BaseException:
            raw.close()
            raise

    async def _connected_socket(self) -> socket.socket:
        failed = OSError("the name has no address")
        for family, kind, protocol, _, address in await self._addresses.find():
            raw = socket.socket(family, kind, protocol)
            try:
                raw.setblocking(False)
                await self._loop.sock_connect(raw, address)
            except OSError as error:
                raw.close()
                failed = error
            except BaseException:
                raw.close()
                raise
            else:
                return raw
        try:
            raise failed
        finally:
            del failed  # it holds this frame

    async def _wait(self, *, is_fresh: bool) -> Connection | None:
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters[waiter] = None
        try:
            connection = await waiter
        except BaseException:
            if waiter in self._waiters:
                del self._waiters[waiter]
            elif not waiter.cancelled():  # a permit came at the same time
                self.give_back(waiter.result())
            raise
        if connection is not None and (is_fresh or not connection.is_alive()):
            connection.close()
            return None
        return connection

    def _unreachable(self, why: str) -> TransportError:
        return TransportError(f"{self.origin.host}:{self.origin.port}: {why}", was_sent=False)

    def _close_idle(self) -> None:
        while self.idle:
            self.idle.popitem()[0].close()

    def _close_old(self) -> None:
        self._sweep = None
        now = self._loop.time()
        for connection, until in list(self.idle.items()):
            if until > now:
                self._sweep = self._loop.call_at(until, self._close_old)
                return
            del self.idle[connection]
            connection.close()


def _closed() -> TransportError:
    return TransportError("the pool was closed", was_sent=False)


def _words(error: OSError | UnicodeError, timeout: asyncio.Timeout, seconds: float | None) -> str:
    if timeout.expired():
        return f"no connection within {seconds} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}): add the authority that signed it to this "
            "machine's, or name it in SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return f"it speaks no TLS that we understand ({error.reason}): is it an http:// address?"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0 and type(error) is not OSError:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
