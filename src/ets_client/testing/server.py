"""The fake server itself: a listening socket, and everything behind it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..endpoint import Endpoint
from .application import Application, crash
from .calls import Generator
from .connection import Connection
from .dialect import dialect_of
from .engine import Engine
from .errors import http_error
from .faults import Answer, FaultPlan, Late, NeverAnswer, QueueFull, Raw, Refuse, Reset, ServerError
from .model import SeededModel
from .options import FakeOptions
from .replies import Replies
from .scheduler import Scheduler
from .thread import LoopThread
from .timing import Costs, RealClock
from .tokenizer import ByteTokenizer

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from .exchange import Exchange
    from .model import TextModel
    from .timing import Clock
    from .tokenizer import Tokenizer

__all__ = ["FakeServer"]

_ACCEPTING_TURNS = 3  # of the loop, from a place in the kernel's queue to a connection


class FakeServer:
    """SGLang without a model: real sockets on 127.0.0.1, a real radix tree, and faults on request.

    ``async with`` runs it in the running event loop, a plain ``with`` in a thread of its own. In a thread, read its
    attributes only while no request is under way.

    >>> async with FakeServer(FakeOptions(page_size=16)) as server:
    ...     async with AsyncPolicyClient(server.base_url) as client: ...

    Attributes:
        options: its flags.
        faults: what goes wrong; rules may be added at any time.
        clock: whose time passes.
        died: why it died of a request, as the real server would, or None.
        requests: (method, path) of all requests, in order of arrival.
        connections: clients connected since the beginning.
        keep_alive_seconds: an idle connection is closed after this time.
    """

    def __init__(
        self,
        options: FakeOptions | None = None,
        *,
        model: TextModel | None = None,
        tokenizer: Tokenizer | None = None,
        costs: Costs | None = None,
        clock: Clock | None = None,
        faults: FaultPlan | None = None,
        port: int = 0,
    ) -> None:
        """Make a server; nothing listens yet.

        Args:
            options: its flags.
            model: what it writes; a :class:`SeededModel` when there is none.
            tokenizer: a :class:`ByteTokenizer` of 2,048 ids when there is none.
            costs: how long steps take; no time when there are none.
            clock: real time, or a :class:`VirtualClock` that the test moves.
            faults: what goes wrong.
            port: to listen on; 0 for any that is free.
        """
        self.options = options or FakeOptions()
        self.faults = faults or FaultPlan()
        self.clock: Clock = clock or RealClock()
        self.keep_alive_seconds = self.options.keep_alive_seconds
        self.died: str | None = None
        self.requests: list[tuple[str, str]] = []
        self.connections = 0
        self._dialect = dialect_of(self.options.version)
        self._model = model or SeededModel(self.options.seed)
        self._tokenizer = tokenizer or ByteTokenizer()
        self._model.bind(self._tokenizer)
        self._costs = costs or Costs()
        self._asked_port = port
        self._port = 0
        self._starts = 0
        self._is_draining = False
        self._open: set[Connection] = set()
        self._responses: Counter[tuple[str, str, int]] = Counter()
        self._listener: asyncio.Server | None = None
        self._is_refusing = True
        self._breaking_off: asyncio.Task[None] | None = None
        self._thread: LoopThread | None = None
        self._reset()

    def _reset(self) -> None:
        self._scheduler = Scheduler(self.options, self._model, self._tokenizer)
        self._engine = Engine(self._scheduler, self.clock, self._costs, lambda error: self._die(repr(error)))
        replies = Replies(self.options, self._model, self._tokenizer)
        self._generator = Generator(self.options, self._dialect, self._tokenizer, self._engine, self.clock, replies)
        self._application = Application(
            self._generator,
            self._model,
            self._responses,
            port=lambda: self.port,
            is_draining=lambda: self._is_draining,
            die=self._die,
        )

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen; called by ``async with``."""
        # Bound once and kept: after a restart the port is the same, as clients expect.
        # Of an unnamed protocol, asyncio would not turn off the delay of small pieces, and tokens would come in lumps.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", self._port or self._asked_port))
        except OSError:
            listening.close()
            raise
        self._port = listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._is_refusing = False
        self._listener = await loop.create_server(lambda: Connection(self), sock=listening, backlog=4096)
        self._starts += 1

    async def stop(self) -> None:
        """Close everything; called at the end of ``async with``."""
        self._engine.stop()
        await self._broken_off()
        await self._stop_accepting()
        self._close_listener()
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def kill(self) -> None:
        """End as after ``kill -9``: connections are closed, new ones refused, the cache is lost."""
        self._engine.stop()
        await self._broken_off()
        for connection in list(self._open):
            connection.drop()
        await self._stop_accepting()
        self._close_listener()
        self._reset()
        await asyncio.sleep(0)

    async def restart(self) -> None:
        """Kill it and start it again on the same port, with an empty cache."""
        if self._listener is not None or self.died is not None:
            await self.kill()
        self.died = None
        self._is_draining = False
        await self.start()

    def drain(self) -> None:
        """As after SIGTERM: ``/health`` is 503, everything else goes on."""
        self._is_draining = True

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self._thread = LoopThread("fake-sglang")
        try:
            self._thread.run(self.start())
        except BaseException:
            self._thread.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        assert thread is not None  # noqa: S101 - entered
        try:
            thread.run(self.stop())
        finally:
            thread.close()

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port; 0 before the first start."""
        return self._port

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def scheduler(self) -> Scheduler:
        """Queue, running samples, cache and counters, to look at."""
        return self._scheduler

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that it uses."""
        return self._tokenizer

    @property
    def registered_rids(self) -> frozenset[str]:
        """Request ids that it knows; with nothing running, those that it has leaked."""
        return frozenset(self._generator.registered)

    @property
    def open_connections(self) -> int:
        """Clients connected now."""
        return len(self._open)

    def count(self, path: str) -> int:
        """How many requests came to a path."""
        return sum(1 for _, each in self.requests if each == path)

    def endpoint(self, path: str | os.PathLike[str], *, profile: str | None = None) -> Endpoint:
        """Write an endpoint file, as a server's starter does.

        Args:
            path: the file.
            profile: name of a profile to note in it.

        Returns:
            What was written.
        """
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self._port,
            "model": self.options.model_path,
            "profile": profile,
            "start_id": f"fake-{self._port}-{self._starts}",
            "keep_alive_seconds": self.keep_alive_seconds,
            "api_key": self.options.api_key,
        }
        endpoint = Endpoint(**fields)
        endpoint.write(path)
        return endpoint

    # -- for connections ------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A client connected; for connections to call."""
        self.connections += 1
        self._open.add(connection)
        if self._is_refusing:  # it was accepted in the last turns of the loop before the listener was closed
            connection.drop()

    def closed(self, connection: Connection) -> None:
        """It is gone; for connections to call."""
        self._open.discard(connection)

    def handle(self, exchange: Exchange) -> None:
        """Answer a request; for connections to call."""
        self.requests.append((exchange.method, exchange.path))
        fault = self.faults.match(exchange.path)
        if fault is not None:
            exchange.fault = fault
            if self._break(exchange):
                return
        self._application.answer(exchange)

    def _break(self, exchange: Exchange) -> bool:
        """Do what a fault does instead of the request; False when the request is carried out nevertheless."""
        fault = exchange.fault
        if isinstance(fault, Reset) and fault.after is None:
            exchange.reset()
        elif isinstance(fault, Refuse):
            self._break_off(exchange)
            self.clock.call_later(fault.seconds, self._listen_again)
        elif isinstance(fault, Answer):
            exchange.reply(fault.status, fault.body, fault.content_type)
        elif isinstance(fault, Raw):
            exchange.raw(fault.data)
        elif isinstance(fault, ServerError):
            crash(exchange)
        elif isinstance(fault, QueueFull):
            exchange.reply(503, http_error(503, "The request queue is full."))
        elif isinstance(fault, Late):
            self.clock.call_later(fault.seconds, lambda: self._application.answer(exchange))
        else:
            return isinstance(fault, NeverAnswer)
        return True

    def _die(self, why: str) -> None:
        self.died = why
        self._engine.stop()
        self._break_off()

    def _break_off(self, first: Exchange | None = None) -> None:
        """Refuse whoever comes from now on, reset one exchange, and drop all connections."""
        self._is_refusing = True
        self._breaking_off = asyncio.get_running_loop().create_task(self._close_all(first))

    async def _close_all(self, first: Exchange | None) -> None:
        await self._stop_accepting()
        self._close_listener()
        if first is not None:
            first.reset()
        for connection in list(self._open):
            connection.drop()  # one that lived on would answer probes of a server that refuses everybody

    async def _stop_accepting(self) -> None:
        """Let what was accepted become connections, which can be closed; asyncio loses them without a listener."""
        self._is_refusing = True
        if self._listener is not None:
            for listening in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            for _ in range(_ACCEPTING_TURNS):
                await asyncio.sleep(0)

    async def _broken_off(self) -> None:
        if self._breaking_off is not None:
            await self._breaking_off

    def _close_listener(self) -> None:
        self._is_refusing = True
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _listen_again(self) -> None:
        task = asyncio.get_running_loop().create_task(self._start_again())
        task.add_done_callback(lambda done: done.exception())

    async def _start_again(self) -> None:
        await self._broken_off()
        if self._listener is None and self.died is None:
            await self.start()

    def __repr__(self) -> str:
        state = f"died: {self.died}" if self.died else "up" if self._listener is not None else "down"
        return f"FakeServer({self.base_url}, {self.options.version}, {state}, {self._scheduler!r})"
