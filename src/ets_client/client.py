"""The client of a policy server."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING, Literal

from ._core.guard import (
    check_fits,
    check_namespace,
    check_origin,
    check_path,
    check_paths,
    check_samples,
    check_sampling,
    check_token_fields,
)
from ._core.logprobs import check_logprobs
from ._core.provenance import effective_sampling
from ._core.serves import check_generates, check_reward_head
from ._core.settle import StepSettings, path_settings, settle, step_settings
from ._engine.expander import ExpandRequest
from .branch import Branch
from .errors import InvalidRequestError
from .prefix import Origin, Prefix
from .sampling import SeedIgnoredWarning
from .server_calls import ServerCalls
from .streams import BranchStream, TextStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine.deadline import Deadline
    from ._engine.streaming import SampleStream
    from .branch import Expansion, Usage
    from .effective_sampling import EffectiveSampling
    from .logprobs import LogprobOptions
    from .sampling import SamplingParams
    from .scores import LabelProbs, RewardScore, ScoreFailure

__all__ = ["AsyncPolicyClient"]


class AsyncPolicyClient(ServerCalls):
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
        admin_api_key: the key for aborts and flushes, of a server that has one.
        sampling: sampling of every call, field by field over the profile's and under the call's.
        retry: how often and how patiently failed attempts are repeated.
        timeout: seconds that a call may take, its retries included; None for no limit. Each call can give its own.
        check_profile: whether entering compares a given profile with the server's tokenizer (see
            :meth:`check_profile`). Errors raise, warnings are logged; False goes on whatever is wrong.
        connections: most connections for generation; each expand in flight needs one.
        plan: how a server is asked for several samples: ``batch`` (one POST, each sample with its own id and seed), or
            ``server_n`` for SGLang's own ``n=``, whose samples share a seed and cannot be aborted. A router is asked
            in the one way that it takes.
        transport: an httpx transport to use instead of the client's own connections; it stays the caller's to close.
        observer: a function that is told of failed attempts, of aborts, and when the server is lost, full or back
            (:data:`~ets_client.events.ClientEvent`). It is called in the event loop and must not block.

    Raises:
        ConfigurationError: the address or an option cannot be used.
    """

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
        logprobs: bool | LogprobOptions = False,
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
            logprobs: whether each branch shall have the log-probabilities of its tokens;
                :class:`LogprobOptions` asks for those of other tokens too.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            Exactly ``n`` branches.

        Raises:
            InvalidRequestError: an argument would harm the server; nothing was sent.
            UnsupportedError: a sampling field that this server, or the router in front, cannot serve; nothing was sent.
            ConfigurationError: the server's model generates no text.
            RequestError: the call failed; which subclass says why.

        Cancelling it stops its samples on the server (2 s at most, in the background).
        """
        request = await self._step_request(prefix, n, sampling, logprobs=logprobs, timeout=timeout)
        return await self._ready().expander.expand(request)

    def expand_iter(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
    ) -> BranchStream:
        """Sample ``n`` next steps and get each as soon as it ends.

        Args:
            prefix: as in :meth:`expand`, like all the arguments.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's.
            logprobs: as in :meth:`expand`.
            timeout: seconds until the last branch; None takes the client's.

        Returns:
            An async context manager and iterator. Entering it raises what :meth:`expand` raises; iterating it raises
            :class:`RequestError` when the stream breaks. Leaving it stops what has not ended on the server.
        """

        async def begin() -> tuple[ExpandRequest, SampleStream]:
            request = await self._step_request(prefix, n, sampling, logprobs=logprobs, timeout=timeout)
            return request, await self._ready().expander.open(request, every_token=False)

        return BranchStream(begin, self._ready().expander.branches)

    async def generate(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
    ) -> Branch:
        """Sample one continuation that does not stop at step delimiters.

        Args:
            prefix: where to go on.
            sampling: fields that differ from the client's and the profile's. Without ``max_new_tokens`` it goes on to
                the profile's path length.
            logprobs: as in :meth:`expand`.
            timeout: seconds, all retries included; None takes the client's.

        Raises:
            InvalidRequestError: an argument would harm the server; nothing was sent.
            UnsupportedError: a sampling field that this server, or the router in front, cannot serve; nothing was sent.
            ConfigurationError: the server's model generates no text.
            RequestError: the call failed; which subclass says why.

        Cancelling it stops the sample on the server (2 s at most, in the background).
        """
        request = await self._path_request(prefix, sampling, logprobs=logprobs, timeout=timeout)
        expansion = await self._ready().expander.expand(request)
        return expansion[0]

    def stream(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
    ) -> TextStream:
        """Sample one continuation and get its text while it is written.

        Args:
            prefix: as in :meth:`generate`, like all the arguments.
            sampling: fields that differ from the client's and the profile's.
            logprobs: as in :meth:`expand`.
            timeout: seconds until its end; None takes the client's.

        Returns:
            An async context manager and iterator of :class:`Delta`. Entering it raises what :meth:`generate` raises.
            Leaving it stops the work on the server.
        """

        async def begin() -> tuple[ExpandRequest, SampleStream]:
            request = await self._path_request(prefix, sampling, logprobs=logprobs, timeout=timeout)
            return request, await self._ready().expander.open(request, every_token=True)

        return TextStream(begin, self._ready().expander.branches)

    async def warm(self, prefix: Prefix | Branch, *, timeout: float | None = None) -> Usage:
        """Put a prefix into the server's cache, so that the next call on it starts at once.

        Concurrent calls that share a cold part compute it once. :meth:`expand` does this by itself.

        Args:
            prefix: what to compute.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            Tokens of the request that was made; all zero when the server should hold the prefix already.

        Raises:
            ConfigurationError: the server's model generates no text.
            RequestError: the call failed.
        """
        connection = self._ready()
        check_generates(connection.info)
        start = check_path(prefix, connection.info.tokenizer_path)
        return await connection.expander.warm(start, self._deadline(timeout))

    async def label_probs(
        self,
        prefixes: Sequence[Prefix | Branch],
        labels: Sequence[str | int],
        *,
        timeout: float | None = None,
    ) -> list[LabelProbs | ScoreFailure]:
        """Probabilities of a few labels as the next token after each prefix, in one POST.

        This is how process reward models of the Math-Shepherd and RLHFlow kinds are read on stock SGLang. Nothing is
        generated: each prefix is sent once for each label, with the label behind it, and the server recomputes its last
        token and the label. What is cold and long enough is prefilled once before, shared by concurrent calls. It may
        share a server with any other call.

        Args:
            prefixes: paths that end where the model is to judge.
            labels: at most 256 different token ids, or texts that are one token (``["+", "-"]``).
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            One outcome a prefix: :class:`LabelProbs`, or a :class:`ScoreFailure` with the reason.

        Raises:
            InvalidRequestError: a label is not one token or outside the vocabulary, or a prefix is another model's.
            UnsupportedError: through a router, the prefixes have several namespaces.
            ConfigurationError: the server's model generates no tokens.
            RequestError: the call failed.

        Cancelling it stops its samples on the server (2 s at most, in the background).
        """
        connection = self._ready()
        check_generates(connection.info)
        paths = check_paths(prefixes, connection.info.tokenizer_path)
        return await connection.labels.probs(paths, labels, self._deadline(timeout))

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
        if call not in ("expand", "generate"):
            raise InvalidRequestError("call", call, "'expand' or 'generate'")
        info = self._ready().info
        origin = Origin(info.tokenizer_path)
        start = Prefix((), "", origin=origin) if prefix is None else check_path(prefix, info.tokenizer_path)
        return effective_sampling(check_sampling(sampling), self._sampling, self.profile, info, start, call)

    async def reward_scores(
        self, prefixes: Sequence[Prefix | Branch], *, timeout: float | None = None
    ) -> list[RewardScore | ScoreFailure]:
        """What the head of a reward or classification model says of each prefix, in one POST.

        For servers of models such as ``LlamaForSequenceClassification`` or ``Qwen2ForRewardModel``. SGLang reuses
        cached prefixes for them too, whatever their namespaces.

        Args:
            prefixes: paths; the head reads their last token.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            One outcome a prefix: :class:`RewardScore`, or a :class:`ScoreFailure` with the reason.

        Raises:
            InvalidRequestError: a prefix is another model's.
            ConfigurationError: the server's model has no such head; nothing was sent.
            RequestError: the call failed.

        Cancelling it stops what still waits on the server (2 s at most, in the background).
        """
        connection = self._ready()
        check_reward_head(connection.info)
        paths = check_paths(prefixes, connection.info.tokenizer_path)
        return await connection.rewards.scores(paths, self._deadline(timeout))

    async def _step_request(
        self,
        source: Prefix | Branch | str | Sequence[int],
        n: int,
        sampling: SamplingParams | None,
        *,
        logprobs: bool | LogprobOptions,
        timeout: float | None,
    ) -> ExpandRequest:
        check_samples(n)
        settings = step_settings(self.profile, check_sampling(sampling).over(self._sampling))
        return await self._request(source, n, settings, self._deadline(timeout), logprobs=logprobs)

    async def _path_request(
        self,
        source: Prefix | Branch | str | Sequence[int],
        sampling: SamplingParams | None,
        *,
        logprobs: bool | LogprobOptions,
        timeout: float | None,
    ) -> ExpandRequest:
        settings = path_settings(self.profile, check_sampling(sampling).over(self._sampling))
        return await self._request(source, 1, settings, self._deadline(timeout), logprobs=logprobs)

    async def _request(
        self,
        source: Prefix | Branch | str | Sequence[int],
        n: int,
        settings: StepSettings,
        deadline: Deadline,
        *,
        logprobs: bool | LogprobOptions,
    ) -> ExpandRequest:
        connection = self._ready()
        wanted = check_logprobs(logprobs, connection.info, connection.info.vocab_size)
        async with deadline.limit("the text was not tokenised"):
            prefix = await self._as_prefix(source)
        check_generates(connection.info)
        check_origin(prefix, connection.info.tokenizer_path)
        # With deterministic inference every request without a seed uses seed 42: all siblings would be equal.
        seed = random.getrandbits(48) if connection.info.is_deterministic else None
        sampling, limit = settle(settings, prefix, connection.info, seed)
        if sampling.seed is not None and connection.info.is_deterministic is False:  # None: a router does not tell
            self._warn_of_seed(sampling.seed)
        check_token_fields(sampling, connection.info.vocab_size)
        return ExpandRequest(prefix, n, sampling, limit, wanted, deadline)

    def _warn_of_seed(self, seed: int) -> None:
        if self._has_warned_of_seeds:
            return
        self._has_warned_of_seeds = True
        warnings.warn(
            f"sampling.seed = {seed} has no effect: this server was not started with --enable-deterministic-inference",
            SeedIgnoredWarning,
            stacklevel=5,  # the line that called expand or generate
        )

    async def _as_prefix(self, source: Prefix | Branch | str | Sequence[int]) -> Prefix:
        if isinstance(source, Branch):
            return source.prefix
        return source if isinstance(source, Prefix) else await self.prefix(source)

    def _root_of(self, encoded: tuple[Sequence[int], str], namespace: str | None) -> Prefix:
        info = self._ready().info
        ids, text = encoded
        check_fits(len(ids), info.max_input_tokens)
        return Prefix(ids, text, origin=Origin(info.tokenizer_path, namespace))
