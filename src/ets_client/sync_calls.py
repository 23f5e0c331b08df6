"""The calls of a search for threads: each waits for its result."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from .policy_calls import PolicyCalls
from .sync_streams import SyncBranchStream, SyncTextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import Future
    from typing import Literal

    from ._threads.loop_thread import LoopThread
    from .branch import Branch, Expansion
    from .logprobs import LogprobOptions
    from .prefix import Prefix
    from .sampling import SamplingParams

__all__ = ["SyncPolicyCalls", "blocking"]

P = ParamSpec("P")
T = TypeVar("T")


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncPolicyCalls, P], T]:
    """The method that waits for the async one: its arguments, its result, its documentation."""

    @functools.wraps(method)
    def call(calls: SyncPolicyCalls, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return calls._loop_thread.call(method, calls._calls, *args, **kwargs)  # pyright: ignore[reportPrivateUsage]

    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    del call.__wrapped__  # it is no wrapper to look through: the async method is not what runs in this thread
    return call


class SyncPolicyCalls:
    """What a search asks, of a :class:`PolicyClient` or within one of its trees."""

    _loop_thread: LoopThread
    _calls: PolicyCalls

    root = blocking(PolicyCalls.root)
    prefix = blocking(PolicyCalls.prefix)
    expand = blocking(PolicyCalls.expand)
    generate = blocking(PolicyCalls.generate)
    warm = blocking(PolicyCalls.warm)
    prune = blocking(PolicyCalls.prune)
    label_probs = blocking(PolicyCalls.label_probs)
    label_choices = blocking(PolicyCalls.label_choices)
    reward_scores = blocking(PolicyCalls.reward_scores)

    def submit_expand(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        partial: Literal["raise", "return"] = "raise",
        speculative: bool = False,
        timeout: float | None = None,
    ) -> Future[Expansion]:
        """Begin an :meth:`expand`, and do not wait for it.

        Args:
            prefix: as in :meth:`expand`, like all the arguments.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's.
            logprobs: whether each branch shall have the log-probabilities of its tokens, or which more.
            partial: as in :meth:`expand`.
            speculative: as in :meth:`expand`.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            A future of what :meth:`expand` returns or raises. Cancelling it, at any time before its end, stops the
            samples on the server. Its callbacks run on the loop's thread: they must not block, and may submit more.

        Raises:
            ConfigurationError: the client is not open.
        """
        return self._loop_thread.submit(
            self._calls.expand,
            prefix,
            n,
            sampling,
            logprobs=logprobs,
            partial=partial,
            speculative=speculative,
            timeout=timeout,
        )

    def expand_iter(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        speculative: bool = False,
        timeout: float | None = None,
    ) -> SyncBranchStream:
        """Sample ``n`` next steps and get each as soon as it ends.

        Args:
            prefix: as in :meth:`expand`, like all the arguments.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's.
            logprobs: whether each branch shall have the log-probabilities of its tokens, or which more.
            speculative: as in :meth:`expand`.
            timeout: seconds until the last branch; None takes the client's.

        Returns:
            A context manager and iterator. Entering it raises what :meth:`expand` raises; iterating it raises
            :class:`RequestError` when the stream breaks. Leaving it stops what has not ended on the server.
        """
        calls = self._calls
        return SyncBranchStream(
            self._loop_thread,
            lambda: calls.expand_iter(prefix, n, sampling, logprobs=logprobs, speculative=speculative, timeout=timeout),
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
        calls = self._calls
        return SyncTextStream(
            self._loop_thread, lambda: calls.stream(prefix, sampling, logprobs=logprobs, timeout=timeout)
        )
