"""A client's life: its options, its connection to one server, and its end."""

from __future__ import annotations

import asyncio
import logging
import random
import warnings
from typing import TYPE_CHECKING, Literal, TypedDict

from pydantic import SecretStr

from ._core.client_options import check_options
from ._core.guard import check_admission, check_departure_interval, check_timeout
from ._engine.address import Address, EndpointAddress, FixedAddress, check_api_key
from ._engine.bookkeeper import Bookkeeper
from ._engine.caller import Caller
from ._engine.connect import Connection, connect
from ._engine.deadline import Deadline
from ._engine.pending import PendingCalls
from ._engine.server import Server
from ._transport.default import make_transport
from .errors import ConfigurationError
from .profiles import load_profile
from .retry import RetryPolicy
from .sampling import SamplingParams

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import NoReturn, Self, Unpack

    import httpx

    from .events import Observer
    from .ledger import Ledger
    from .profiles import Profile
    from .server_info import ServerInfo
    from .stats import ClientStats

__all__ = ["ClientOptions", "Connected"]

_log = logging.getLogger("ets_client")
_KEEP_ALIVE_SECONDS = 5.0  # SGLang's default (SGLANG_TIMEOUT_KEEP_ALIVE), which no endpoint tells


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of :class:`AsyncPolicyClient`, which explains them."""

    api_key: str | None
    admin_api_key: str | None
    sampling: SamplingParams | None
    retry: RetryPolicy
    timeout: float | None
    check_profile: bool
    connections: int
    plan: Literal["batch", "server_n"]
    transport: httpx.AsyncBaseTransport | None
    observer: Observer | None
    admission: Literal["adaptive"] | int | None
    departure_interval: float | None


class Connected:
    """What every client of a server has; :class:`AsyncPolicyClient` explains the arguments."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:30000",
        profile: Profile | str | os.PathLike[str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._open(FixedAddress(base_url, _secret(options.get("api_key"))), profile, None, options)

    @classmethod
    def from_endpoint(
        cls,
        path: str | os.PathLike[str],
        profile: Profile | str | os.PathLike[str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """A client of the server that an endpoint file names.

        The file is read again whenever the server cannot be reached, so that a job that was requeued to another node
        or port is found.

        Args:
            path: the file that ``ets-server up --endpoint-file`` writes.
            profile: as for the class; None takes the one that the server was started with, when it is known here.
            options: as for the class.

        Raises:
            ConfigurationError: the file is missing or not valid.
        """
        client = cls.__new__(cls)
        address = EndpointAddress(path, _secret(options.get("api_key")))
        endpoint = address.endpoint
        if profile is None and endpoint.profile is not None:
            try:
                profile = load_profile(endpoint.profile)
            except ConfigurationError as error:
                _log.warning("the server was started with a profile that cannot be used here: %s", error)
        client._open(address, profile, endpoint.keep_alive_seconds, options)
        return client

    def _open(
        self,
        address: Address,
        profile: Profile | str | os.PathLike[str] | None,
        keep_alive_seconds: float | None,
        options: ClientOptions,
    ) -> None:
        unknown = options.keys() - ClientOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(map(repr, sorted(unknown)))}")
        check_options(options)
        self._timeout = options.get("timeout", 600.0)
        self._plan: Literal["batch", "server_n"] = options.get("plan", "batch")
        self._admission: Literal["adaptive"] | int | None = options.get("admission")
        check_admission(self._admission)
        self._departure_interval = check_departure_interval(options.get("departure_interval"))
        self._keep_alive_seconds = keep_alive_seconds
        self._sampling = options.get("sampling") or SamplingParams()
        self._wanted_profile = profile
        self._checks_profile = profile is not None and options.get("check_profile", True)
        self._address = address
        self._transport = make_transport(
            connections=options.get("connections", 256),
            keep_alive_seconds=keep_alive_seconds or _KEEP_ALIVE_SECONDS,
            transport=options.get("transport"),
        )
        self._server = Server(
            self._transport,
            address,
            options.get("retry") or RetryPolicy(),
            jitter=random.random,
            admin_key=check_api_key(_secret(options.get("admin_api_key"))),
            on_gone=self._forget_cache,
            observer=options.get("observer"),
        )
        self._caller = Caller(self._server)
        self._books = Bookkeeper()
        self._pending = PendingCalls()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            raise ConfigurationError("this client is open already: enter it once, and let all tasks share it")
        self._loop = asyncio.get_running_loop()
        try:
            self._connection = await connect(
                self._caller,
                self._wanted_profile,
                self._timeout,
                sampling=self._sampling,
                admission=self._admission,
                departure_interval=self._departure_interval,
                plan=self._plan,
                keep_alive_seconds=self._keep_alive_seconds,
                books=self._books,
            )
            self._server.expect_model(self._connection.info.model_path)
            if self._connection.admitter is not None:
                self._server.on_refused = self._connection.admitter.refused
            if self._checks_profile:
                await self._connection.checker.require()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    if not TYPE_CHECKING:  # type checkers refuse `with` by themselves

        def __enter__(self) -> NoReturn:
            raise TypeError(f"use `async with {type(self).__name__}(...)`, or PolicyClient for code that is not async")

        def __exit__(self, *_: object) -> None: ...

    async def aclose(self) -> None:
        """End what runs or waits, stop its samples, and close all connections; 4 s at most."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None and connection.dispatcher is not None:
                connection.dispatcher.close()
            if connection is not None and connection.admitter is not None:
                await connection.admitter.aclose()
            await self._caller.aclose()
        finally:
            await self._transport.aclose()

    @property
    def profile(self) -> Profile:
        """The profile in use, given or derived."""
        return self._ready().profile

    @property
    def capabilities(self) -> ServerInfo:
        """What the server told at first contact, and what is known of it from elsewhere; ``print`` shows a table."""
        return self._ready().info

    @property
    def stats(self) -> ClientStats:
        """What this client has done so far and does now; ``print`` it."""
        connection = self._connection
        if connection is None:
            return self._server.stats(None, None)
        return self._server.stats(connection.admitter, connection.dispatcher)

    @property
    def ledger(self) -> Ledger:
        """What all calls have cost the server until now, and what is still in use; ``print`` it.

        It may be read in any thread, and after the client was closed.
        """
        connection = self._connection
        if connection is None:
            return self._books.ledger(0, None)
        return self._books.ledger(connection.cache.tokens, connection.info.kv_bytes_per_token)

    def _forget_cache(self) -> None:
        if self._connection is not None:
            self._connection.cache.clear()

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline.after(self._timeout if timeout is None else check_timeout(timeout))

    def _ready(self) -> Connection:
        if self._connection is None:
            if self._server.is_closed:
                raise ConfigurationError("this client is closed: call it inside its `async with`, or make a new one")
            raise ConfigurationError("the client is not open: use it inside `async with AsyncPolicyClient(...)`")
        if self._loop is not asyncio.get_running_loop():
            raise ConfigurationError(
                "this client belongs to another event loop: make one for each loop, or one PolicyClient for all threads"
            )
        return self._connection

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:  # no such attribute when the arguments were wrong
            message = f"{type(self).__name__} was not closed: use `async with`"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        connection = self._connection
        state = (
            "closed" if connection is None else f"{connection.profile.name}, {connection.cache.tokens:,} warm tokens"
        )
        return f"{type(self).__name__}({self._address.base_url}, {state})"


def _secret(key: str | None) -> SecretStr | None:
    return None if key is None else SecretStr(key)
