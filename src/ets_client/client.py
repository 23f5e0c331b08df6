"""The client of a policy server."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, TypedDict

from pydantic import SecretStr

from ._core.guard import check_fits, check_namespace, check_origin, check_samples
from ._core.settle import StepSettings, path_settings, settle, step_settings
from ._core.warmth import Warmth
from ._engine.address import Address, EndpointAddress, FixedAddress
from ._engine.caller import Caller, Outgoing
from ._engine.connect import Connection, connect, fetch_server_info
from ._engine.deadline import Deadline
from ._engine.expander import ExpandRequest
from ._transport.stock import StockTransport
from ._wire.info import read_metrics
from .branch import Branch
from .errors import ConfigurationError, RequestError
from .prefix import Origin, Prefix
from .profiles import load_profile
from .retry import RetryPolicy
from .sampling import SamplingParams

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    import httpx

    from .branch import Expansion
    from .profiles import Profile
    from .server_info import ServerInfo, ServerMetrics

__all__ = ["AsyncPolicyClient", "ClientOptions"]

_log = logging.getLogger("ets_client")


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of :class:`AsyncPolicyClient`, which explains them."""

    api_key: str | None
    sampling: SamplingParams | None
    retry: RetryPolicy
    timeout: float | None
    connections: int
    transport: httpx.AsyncBaseTransport | None


class AsyncPolicyClient:
    """A policy server, as a tree search sees it: prefixes are expanded, branches come back.

    ::

        async with AsyncPolicyClient("http://127.0.0.1:30000", profile="smollm2") as client:
            root = await client.root("Tom has 3 boxes with 4 apples each. How many apples has he?")
            expansion = await client.expand(root, n=8)
            deeper = await client.expand(expansion[0].prefix, n=4)

    One client belongs to one event loop and may be shared by all its tasks. Entering it asks the server what it is.

    Args:
        base_url: address of the server.
        profile: the model's :class:`~ets_client.Profile`, its name or its file; None derives a generic one from the
            server (its chat template when it has one, steps that end at a blank line) and logs that.
        api_key: the server's key.
        sampling: sampling of every call, field by field over the profile's and under the call's.
        retry: how often and how patiently failed attempts are repeated.
        timeout: seconds that a call may take, its retries included; None for no limit. Each call can give its own.
        connections: most connections for generation; each expand in flight needs one.
        transport: an httpx transport to use instead of the client's own connections; it stays the caller's to close.

    Raises:
        ConfigurationError: the address or an option cannot be used.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:30000",
        profile: Profile | str | os.PathLike[str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._open(FixedAddress(base_url, _secret(options.get("api_key"))), profile, 5.0, options)

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
        keep_alive_seconds: float,
        options: ClientOptions,
    ) -> None:
        unknown = options.keys() - ClientOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(map(repr, sorted(unknown)))}")
        self._timeout = options.get("timeout", 600.0)
        if self._timeout is not None and self._timeout <= 0:
            raise ConfigurationError(f"timeout = {self._timeout}: seconds above 0, or None for no limit")
        connections = options.get("connections", 256)
        if connections < 1:
            raise ConfigurationError(f"connections = {connections}: at least 1")
        self._sampling = options.get("sampling") or SamplingParams()
        self._wanted_profile = profile
        self._address = address
        self._warmth = Warmth()
        self._transport = StockTransport(
            connections=connections, keep_alive_seconds=keep_alive_seconds, transport=options.get("transport")
        )
        self._caller = Caller(
            self._transport,
            address,
            options.get("retry") or RetryPolicy(),
            jitter=random.random,
            on_lost_server=self._warmth.clear,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._connection = await connect(self._caller, self._wanted_profile, self._warmth, self._timeout)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, after the aborts that are on their way (2 s at most)."""
        self._connection = None
        try:
            await self._caller.aclose()
        finally:
            await self._transport.aclose()

    @property
    def profile(self) -> Profile:
        """The profile in use, given or derived."""
        return self._ready().profile

    async def root(self, question: str, *, namespace: str | None = None) -> Prefix:
        """The root of a search: a question in the profile's prompt format, worked examples included.

        Args:
            question: the question's text.
            namespace: see :meth:`prefix`.

        Raises:
            InvalidRequestError: the question is empty, or the prompt is longer than the server takes.
            RequestError: the server was asked to tokenise and failed.
        """
        prompts = self._ready().prompts
        check_namespace(namespace)
        return self._root_of(await prompts.encode_question(question), namespace)

    async def prefix(
        self, source: str | Sequence[int] | Sequence[Mapping[str, str]], *, namespace: str | None = None
    ) -> Prefix:
        """Make a prefix. Text is tokenised here and never again.

        Args:
            source: text, taken as it is; or chat messages (``{"role": ..., "content": ...}``), whose last one stays
                open when it is the assistant's; or token ids.
            namespace: SGLang's ``extra_key``. Prefixes of different namespaces share no cache.

        Raises:
            InvalidRequestError: it is empty, an id is outside the vocabulary, the profile has no chat format, or it is
                longer than the server takes.
            RequestError: the server was asked to tokenise and failed.
        """
        prompts = self._ready().prompts
        check_namespace(namespace)
        return self._root_of(await prompts.encode(source), namespace)

    async def expand(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool = False,
        timeout: float | None = None,
    ) -> Expansion:
        """Sample ``n`` next steps after a prefix.

        All samples go in one POST, each with its own request id. A prefix that the server does not hold yet is
        prefilled once before them; concurrent expands that share a cold part wait for one prefill of it.

        Args:
            prefix: where to go on. Text and ids are made a root first.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's. Without ``stop`` a step ends at the
                profile's delimiters; without ``max_new_tokens`` at the profile's step length, and the path at its path
                length.
            logprobs: whether each branch shall have the log-probabilities of its tokens.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            Exactly ``n`` branches.

        Raises:
            InvalidRequestError: an argument would harm the server; nothing was sent.
            RequestError: the call failed; which subclass says why.

        Cancelling it stops its samples on the server (2 s at most, in the background).
        """
        connection = self._ready()
        check_samples(n)
        settings = step_settings(connection.profile, (sampling or SamplingParams()).over(self._sampling))
        return await self._sample(prefix, n, settings, logprobs=logprobs, timeout=timeout)

    async def generate(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool = False,
        timeout: float | None = None,
    ) -> Branch:
        """Sample one continuation that does not stop at step delimiters.

        Args:
            prefix: where to go on.
            sampling: fields that differ from the client's and the profile's. Without ``max_new_tokens`` it goes on to
                the profile's path length.
            logprobs: whether the branch shall have the log-probabilities of its tokens.
            timeout: seconds, all retries included; None takes the client's.

        Raises:
            InvalidRequestError: an argument would harm the server; nothing was sent.
            RequestError: the call failed; which subclass says why.

        Cancelling it stops the sample on the server (2 s at most, in the background).
        """
        connection = self._ready()
        settings = path_settings(connection.profile, (sampling or SamplingParams()).over(self._sampling))
        expansion = await self._sample(prefix, 1, settings, logprobs=logprobs, timeout=timeout)
        return expansion[0]

    async def server_info(self) -> ServerInfo:
        """What the server says of itself now.

        Raises:
            RequestError: it does not answer as SGLang does.
        """
        self._ready()
        return await fetch_server_info(self._caller, self._timeout)

    async def metrics(self) -> ServerMetrics:
        """The server's own counters (it must run with ``--enable-metrics``, as ``ets-server`` does).

        Raises:
            RequestRejectedError: the server has no metrics.
            RequestError: it does not answer.
        """
        self._ready()
        get = Outgoing("GET", "/metrics/", lane="control")  # without the slash SGLang redirects
        return await self._caller.call(lambda: get, read_metrics, Deadline.after(self._timeout))

    async def health(self, timeout: float = 30.0) -> bool:
        """Whether the server generates. SGLang tries it with one token, which takes at least a second.

        Args:
            timeout: seconds until the answer counts as no.
        """
        self._ready()
        try:
            get = Outgoing("GET", "/health_generate", lane="control")
            await self._caller.call(lambda: get, bytes, Deadline.after(timeout))
        except RequestError:
            return False
        return True

    async def flush_cache(self, wait: float = 30.0) -> None:
        """Empty the server's KV cache. For everybody who uses it: do this to servers of your own.

        Args:
            wait: seconds to wait until nothing runs or waits there; the server flushes only then.

        Raises:
            RequestRejectedError: the server was busy all the time.
            RequestError: it does not answer.
        """
        self._ready()
        post = Outgoing("POST", f"/flush_cache?timeout={wait:g}", lane="control")
        await self._caller.call(lambda: post, bytes, Deadline.after(self._timeout))
        self._warmth.clear()

    async def _sample(
        self,
        source: Prefix | Branch | str | Sequence[int],
        n: int,
        settings: StepSettings,
        *,
        logprobs: bool,
        timeout: float | None,
    ) -> Expansion:
        deadline = Deadline.after(self._timeout if timeout is None else timeout)
        async with deadline.limit("the text was not tokenised"):
            prefix = await self._as_prefix(source)
        connection = self._ready()
        check_origin(prefix, connection.info.tokenizer_path)
        # With deterministic inference every request without a seed uses seed 42: all siblings would be equal.
        seed = random.getrandbits(48) if connection.info.is_deterministic else None
        sampling, limit = settle(settings, prefix, connection.info, seed)
        return await connection.expander.expand(ExpandRequest(prefix, n, sampling, limit, logprobs, deadline))

    async def _as_prefix(self, source: Prefix | Branch | str | Sequence[int]) -> Prefix:
        if isinstance(source, Branch):
            return source.prefix
        return source if isinstance(source, Prefix) else await self.prefix(source)

    def _root_of(self, encoded: tuple[Sequence[int], str], namespace: str | None) -> Prefix:
        info = self._ready().info
        ids, text = encoded
        check_fits(len(ids), info.max_input_tokens)
        return Prefix(ids, text, origin=Origin(info.tokenizer_path, namespace))

    def _ready(self) -> Connection:
        if self._connection is None:
            raise ConfigurationError("the client is not open: use it inside `async with AsyncPolicyClient(...)`")
        if self._loop is not asyncio.get_running_loop():
            raise ConfigurationError("this client belongs to another event loop: make one client for each loop")
        return self._connection

    def __repr__(self) -> str:
        connection = self._connection
        state = "closed" if connection is None else f"{connection.profile.name}, {len(self._warmth)} warm prefixes"
        return f"AsyncPolicyClient({self._address.base_url}, {state})"


def _secret(key: str | None) -> SecretStr | None:
    return None if key is None else SecretStr(key)
