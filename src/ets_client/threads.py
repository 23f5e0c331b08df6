"""The client of a policy server for programs of threads."""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ._threads.loop_thread import LoopThread
from .client import AsyncPolicyClient
from .sync_streams import SyncBranchStream, SyncTextStream

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Literal, Self, Unpack

    from .branch import Branch, Expansion
    from .connected import ClientOptions
    from .effective_sampling import EffectiveSampling
    from .logprobs import LogprobOptions
    from .prefix import Prefix
    from .profiles import Profile
    from .sampling import SamplingParams
    from .server_info import ServerInfo
    from .stats import ClientStats

__all__ = ["PolicyClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncPolicyClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[PolicyClient, P], T]:
    """The method that waits for the async one: its arguments, its result, its documentation."""

    @functools.wraps(method)
    def call(client: PolicyClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client._loop_thread.call(method, client._client, *args, **kwargs)  # pyright: ignore[reportPrivateUsage]

    call.__qualname__ = f"PolicyClient.{method.__name__}"
    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    del call.__wrapped__  # it is no wrapper to look through: the async method is not what runs in this thread
    return call


class PolicyClient:
    """:class:`AsyncPolicyClient` for OS threads: the same calls, and each waits for its result.

    ::

        with PolicyClient("http://127.0.0.1:30000", profile="smollm2") as client:
            root = client.root("Tom has 3 boxes with 4 apples each. How many apples has he?")
            with ThreadPoolExecutor(64) as pool:
                expansions = list(pool.map(client.expand, [root] * 64))

    Any number of threads share one client: one event loop in a thread of its own, one pool of connections, and one
    prefill of what they have in common. Ctrl-C, or any other exception in a waiting thread, cancels that thread's call
    and stops its samples on the server. Closing the client ends the calls of other threads with a
    :class:`ConfigurationError`; so does every call in a forked child, which needs a client of its own.

    In a coroutine a call blocks the whole event loop, as every blocking call does: use the async client there.

    Args:
        base_url: address of the server.
        profile: as for :class:`AsyncPolicyClient`, like all options.
        options: see :class:`ClientOptions`.

    Raises:
        ConfigurationError: the address or an option cannot be used.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:30000",
        profile: Profile | str | os.PathLike[str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._use(AsyncPolicyClient(base_url, profile, **options))

    @classmethod
    def from_endpoint(
        cls,
        path: str | os.PathLike[str],
        profile: Profile | str | os.PathLike[str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """A client of the server that an endpoint file names; see :meth:`AsyncPolicyClient.from_endpoint`.

        Args:
            path: the file that ``ets-server up --endpoint-file`` writes.
            profile: as for the class; None takes the one that the server was started with, when it is known here.
            options: as for the class.

        Raises:
            ConfigurationError: the file is missing or not valid.
        """
        client = cls.__new__(cls)
        client._use(AsyncPolicyClient.from_endpoint(path, profile, **options))
        return client

    def _use(self, client: AsyncPolicyClient) -> None:
        self._client = client
        self._loop_thread = LoopThread("ets_client", client.aclose)

    # -- its life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._loop_thread.start()
        # At the interpreter's exit the loop's thread looks after itself: see _threads.
        weakref.finalize(self, _lost, self._loop_thread).atexit = False
        try:
            self._loop_thread.call(self._client.__aenter__)
        except BaseException:
            self._loop_thread.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the calls of other threads, and close all connections after the aborts (4 s at most).

        Raises:
            ConfigurationError: it was called on the client's own loop thread.
        """
        self._loop_thread.close()

    @property
    def profile(self) -> Profile:
        """The profile in use, given or derived."""
        return self._read(lambda client: client.profile)

    @property
    def capabilities(self) -> ServerInfo:
        """What the server said of itself at first contact; ``print`` it."""
        return self._read(lambda client: client.capabilities)

    @property
    def stats(self) -> ClientStats:
        """What this client has done so far and does now; ``print`` it."""
        return self._read(lambda client: client.stats)

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncPolicyClient", "PolicyClient", 1)

    # -- calls: one line for each of the async client's -------------------------------------------------------------

    root = _blocking(AsyncPolicyClient.root)
    prefix = _blocking(AsyncPolicyClient.prefix)
    expand = _blocking(AsyncPolicyClient.expand)
    generate = _blocking(AsyncPolicyClient.generate)
    warm = _blocking(AsyncPolicyClient.warm)
    label_probs = _blocking(AsyncPolicyClient.label_probs)
    reward_scores = _blocking(AsyncPolicyClient.reward_scores)
    check_profile = _blocking(AsyncPolicyClient.check_profile)
    server_info = _blocking(AsyncPolicyClient.server_info)
    model_info = _blocking(AsyncPolicyClient.model_info)
    loads = _blocking(AsyncPolicyClient.loads)
    metrics = _blocking(AsyncPolicyClient.metrics)
    health = _blocking(AsyncPolicyClient.health)
    ready = _blocking(AsyncPolicyClient.ready)
    flush_cache = _blocking(AsyncPolicyClient.flush_cache)
    abort = _blocking(AsyncPolicyClient.abort)
    tokenize = _blocking(AsyncPolicyClient.tokenize)
    detokenize = _blocking(AsyncPolicyClient.detokenize)

    def submit_expand(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
    ) -> Future[Expansion]:
        """Begin an :meth:`expand`, and do not wait for it.

        Args:
            prefix: as in :meth:`expand`, like all the arguments.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's.
            logprobs: whether each branch shall have the log-probabilities of its tokens, or which more.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            A future of what :meth:`expand` returns or raises. Cancelling it, at any time before its end, stops the
            samples on the server. Its callbacks run on the loop's thread: they must not block, and may submit more.

        Raises:
            ConfigurationError: the client is not open.
        """
        return self._loop_thread.submit(self._client.expand, prefix, n, sampling, logprobs=logprobs, timeout=timeout)

    def expand_iter(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
    ) -> SyncBranchStream:
        """Sample ``n`` next steps and get each as soon as it ends.

        Args:
            prefix: as in :meth:`expand`, like all the arguments.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's.
            logprobs: whether each branch shall have the log-probabilities of its tokens, or which more.
            timeout: seconds until the last branch; None takes the client's.

        Returns:
            A context manager and iterator. Entering it raises what :meth:`expand` raises; iterating it raises
            :class:`RequestError` when the stream breaks. Leaving it stops what has not ended on the server.
        """
        client = self._client
        return SyncBranchStream(
            self._loop_thread, lambda: client.expand_iter(prefix, n, sampling, logprobs=logprobs, timeout=timeout)
        )

    def stream(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
    ) -> SyncTextStream:
        """Sample one continuation and get its text while it is written.

        Args:
            prefix: as in :meth:`generate`, like all the arguments.
            sampling: fields that differ from the client's and the profile's.
            logprobs: whether the branch shall have the log-probabilities of its tokens, or which more.
            timeout: seconds until its end; None takes the client's.

        Returns:
            A context manager and iterator of :class:`Delta`. Entering it raises what :meth:`generate` raises.
            Leaving it stops the work on the server.
        """
        client = self._client
        return SyncTextStream(
            self._loop_thread, lambda: client.stream(prefix, sampling, logprobs=logprobs, timeout=timeout)
        )

    def effective_sampling(
        self,
        sampling: SamplingParams | None = None,
        *,
        prefix: Prefix | Branch | None = None,
        call: Literal["expand", "generate"] = "expand",
    ) -> EffectiveSampling:
        """What would count in a call, field by field, and who decides it; ``print`` it. Nothing is sent.

        Args:
            sampling: as it would be given to the call.
            prefix: where the call would go on; None for an empty path.
            call: :meth:`expand` (and :meth:`expand_iter`) or :meth:`generate` (and :meth:`stream`).

        Raises:
            InvalidRequestError: the call would be refused for these arguments.
        """
        return self._read(lambda client: client.effective_sampling(sampling, prefix=prefix, call=call))

    def _read(self, get: Callable[[AsyncPolicyClient], T]) -> T:
        async def read() -> T:
            return get(self._client)

        return self._loop_thread.call(read)


def _lost(loop_thread: LoopThread) -> None:
    if loop_thread.is_open:
        loop_thread.stop()
        warnings.warn("a PolicyClient was not closed: use `with`", ResourceWarning, stacklevel=2)
