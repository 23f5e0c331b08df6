"""The client of a policy server for programs of threads."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, TypeVar

from ._threads.loop_thread import LoopThread
from .client import AsyncPolicyClient
from .sync_calls import SyncPolicyCalls, blocking
from .sync_tree import SyncTree

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal, NoReturn, Self, Unpack

    from .branch import Branch
    from .connected import ClientOptions
    from .effective_sampling import EffectiveSampling
    from .ledger import Ledger
    from .prefix import Prefix
    from .profiles import Profile
    from .sampling import SamplingParams
    from .server_info import ServerInfo
    from .stats import ClientStats

__all__ = ["PolicyClient"]

T = TypeVar("T")


class PolicyClient(SyncPolicyCalls):
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
        self._calls = self._client = client
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

    if not TYPE_CHECKING:  # type checkers refuse `async with` by themselves

        async def __aenter__(self) -> NoReturn:
            raise TypeError(f"use `with {type(self).__name__}(...)`, or AsyncPolicyClient for `async with`")

        async def __aexit__(self, *_: object) -> None: ...

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

    @property
    def ledger(self) -> Ledger:
        """What all calls have cost the server until now, and what is still in use; ``print`` it."""
        return self._client.ledger

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncPolicyClient", "PolicyClient", 1)

    # -- calls: one line for each of the async client's, besides those of SyncPolicyCalls -----------------------------

    check_profile = blocking(AsyncPolicyClient.check_profile)
    server_info = blocking(AsyncPolicyClient.server_info)
    model_info = blocking(AsyncPolicyClient.model_info)
    loads = blocking(AsyncPolicyClient.loads)
    metrics = blocking(AsyncPolicyClient.metrics)
    health = blocking(AsyncPolicyClient.health)
    ready = blocking(AsyncPolicyClient.ready)
    flush_cache = blocking(AsyncPolicyClient.flush_cache)
    abort = blocking(AsyncPolicyClient.abort)
    tokenize = blocking(AsyncPolicyClient.tokenize)
    tokenize_each = blocking(AsyncPolicyClient.tokenize_each)
    detokenize = blocking(AsyncPolicyClient.detokenize)

    def tree(self, name: str = "", *, timeout: float | None = None, weight: float = 1.0) -> SyncTree:
        """A scope for one search tree: the same calls, which all end with it.

        Args:
            name: how errors call it.
            timeout: seconds from entering it that everything in it may take together; None for no limit. Calls can
                have less each.
            weight: its share of the turns while others wait too, where the client has ``admission``.
        """
        return SyncTree(self._loop_thread, self._client.tree(name, timeout=timeout, weight=weight))

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
