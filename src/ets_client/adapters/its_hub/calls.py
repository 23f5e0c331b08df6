"""The few calls that a language model needs of a client, whichever loop or thread they are made from."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, ParamSpec, TypedDict, TypeVar

from ..._together import together
from ...errors import ConfigurationError
from ...threads import PolicyClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from ...branch import Expansion
    from ...client import AsyncPolicyClient
    from ...effective_sampling import EffectiveSampling
    from ...logprobs import LogprobOptions
    from ...prefix import Prefix
    from ...sampling import SamplingParams

    Ask = tuple[Prefix, int, SamplingParams]
    Kind = Literal["expand", "generate"]

__all__ = ["Calls", "ExpandOptions", "async_calls", "blocking_calls"]

P = ParamSpec("P")
T = TypeVar("T")


class ExpandOptions(TypedDict):
    """Arguments that all expands of a language model have."""

    logprobs: bool | LogprobOptions
    timeout: float | None


class Calls(ABC):
    """As the client's calls of these names."""

    @abstractmethod
    async def root(self, question: str) -> Prefix:
        """The question in the profile's prompt."""

    @abstractmethod
    async def prefix(self, messages: Sequence[Mapping[str, str]]) -> Prefix:
        """A chat as it is."""

    @abstractmethod
    async def tokenize(self, text: str) -> list[int]:
        """The ids of a text within a response."""

    @abstractmethod
    async def effective_sampling(self, sampling: SamplingParams, prefix: Prefix, call: Kind) -> EffectiveSampling:
        """What would count."""

    @abstractmethod
    async def expand_all(self, asks: Sequence[Ask]) -> list[Expansion]:
        """All at once, or none."""


def async_calls(client: AsyncPolicyClient | PolicyClient, options: ExpandOptions) -> Calls:
    """Calls to await: on the client's loop, or on any with the client of threads.

    Args:
        client: whose calls they are.
        options: of all expands.
    """
    return _FromAnyLoop(client, options) if isinstance(client, PolicyClient) else _OnOwnLoop(client, options)


def blocking_calls(client: AsyncPolicyClient | PolicyClient, options: ExpandOptions) -> Calls:
    """Calls that are never suspended: each waits in its thread.

    Args:
        client: whose calls they are.
        options: of all expands.

    Raises:
        ConfigurationError: the client is none for threads.
    """
    if isinstance(client, PolicyClient):
        return _Blocking(client, options)
    raise ConfigurationError("generate() waits in its thread: give the model a PolicyClient, or await agenerate()")


class _OnOwnLoop(Calls):
    def __init__(self, client: AsyncPolicyClient, options: ExpandOptions) -> None:
        self._client = client
        self._options = options

    async def root(self, question: str) -> Prefix:
        return await self._client.root(question)

    async def prefix(self, messages: Sequence[Mapping[str, str]]) -> Prefix:
        return await self._client.prefix(messages)

    async def tokenize(self, text: str) -> list[int]:
        return await self._client.tokenize(text)

    async def effective_sampling(self, sampling: SamplingParams, prefix: Prefix, call: Kind) -> EffectiveSampling:
        return self._client.effective_sampling(sampling, prefix=prefix, call=call)

    async def expand_all(self, asks: Sequence[Ask]) -> list[Expansion]:
        return await together(self._client.expand(*ask, **self._options) for ask in asks)


class _Blocking(Calls):
    def __init__(self, client: PolicyClient, options: ExpandOptions) -> None:
        self._client = client
        self._options = options

    async def root(self, question: str) -> Prefix:
        return self._client.root(question)

    async def prefix(self, messages: Sequence[Mapping[str, str]]) -> Prefix:
        return self._client.prefix(messages)

    async def tokenize(self, text: str) -> list[int]:
        return self._client.tokenize(text)

    async def effective_sampling(self, sampling: SamplingParams, prefix: Prefix, call: Kind) -> EffectiveSampling:
        return self._client.effective_sampling(sampling, prefix=prefix, call=call)

    async def expand_all(self, asks: Sequence[Ask]) -> list[Expansion]:
        futures = [self._client.submit_expand(*ask, **self._options) for ask in asks]
        try:
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in ended:
                future.result()
            return [future.result() for future in futures]
        finally:
            for future in futures:  # one failed, or Ctrl-C came: the others are stopped on the server
                future.cancel()


class _FromAnyLoop(Calls):
    def __init__(self, client: PolicyClient, options: ExpandOptions) -> None:
        self._client = client
        self._options = options
        # Not the loop's own threads: its_hub's orchestrator lets its calls wait for each other in those, and they would
        # wait for ours.
        self._threads = ThreadPoolExecutor(4, "ets_client.its_hub")

    async def root(self, question: str) -> Prefix:
        return await self._in_thread(self._client.root, question)

    async def prefix(self, messages: Sequence[Mapping[str, str]]) -> Prefix:
        return await self._in_thread(self._client.prefix, messages)

    async def tokenize(self, text: str) -> list[int]:
        return await self._in_thread(self._client.tokenize, text)

    async def effective_sampling(self, sampling: SamplingParams, prefix: Prefix, call: Kind) -> EffectiveSampling:
        return await self._in_thread(self._client.effective_sampling, sampling, prefix=prefix, call=call)

    async def expand_all(self, asks: Sequence[Ask]) -> list[Expansion]:
        return await together(self._expand(ask) for ask in asks)

    async def _expand(self, ask: Ask) -> Expansion:
        return await asyncio.wrap_future(self._client.submit_expand(*ask, **self._options))

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            return work(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)
