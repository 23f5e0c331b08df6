"""Make of a caller's arguments what is sent: ids of text, all sampling fields, limits."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING

from .._core.guard import check_fits, check_namespace, check_origin, check_samples, check_sampling, check_token_fields
from .._core.logprobs import check_logprobs
from .._core.serves import check_generates
from .._core.settle import path_settings, settle, step_settings
from ..branch import Branch
from ..prefix import Origin, Prefix
from ..sampling import SeedIgnoredWarning
from .expander import ExpandRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any

    from .._core.settle import StepSettings
    from ..logprobs import LogprobOptions
    from ..profiles import Profile
    from ..sampling import SamplingParams
    from ..server_info import ServerInfo
    from .deadline import Deadline
    from .prompts import Prompts

__all__ = ["Preparer"]


class Preparer:
    """Knows the server's limits, the profile and the client's sampling."""

    def __init__(self, info: ServerInfo, profile: Profile, prompts: Prompts, sampling: SamplingParams) -> None:
        """Make it.

        Args:
            info: the server's facts.
            profile: default sampling, delimiters and lengths.
            prompts: turns what callers give into ids.
            sampling: the client's.
        """
        self._info = info
        self._profile = profile
        self._prompts = prompts
        self._sampling = sampling
        self._has_warned_of_seeds = False

    async def root(self, question: str, namespace: str | None) -> Prefix:
        """See :meth:`AsyncPolicyClient.root`."""
        check_namespace(namespace)
        return self._root(await self._prompts.encode_question(question), namespace)

    async def prefix(
        self, source: str | Sequence[int] | Sequence[Mapping[str, str]], namespace: str | None = None
    ) -> Prefix:
        """See :meth:`AsyncPolicyClient.prefix`."""
        check_namespace(namespace)
        return self._root(await self._prompts.encode(source), namespace)

    def step(
        self,
        source: Prefix | Branch | str | Sequence[int],
        n: int,
        sampling: SamplingParams | None,
        logprobs: bool | LogprobOptions,  # noqa: FBT001 - as the public calls have it
        deadline: Deadline,
    ) -> Coroutine[Any, Any, ExpandRequest]:
        """A request for next steps, whose arguments are :meth:`AsyncPolicyClient.expand`'s."""
        check_samples(n)
        settings = step_settings(self._profile, check_sampling(sampling).over(self._sampling))
        return self._request(source, n, settings, logprobs, deadline)

    def path(
        self,
        source: Prefix | Branch | str | Sequence[int],
        sampling: SamplingParams | None,
        logprobs: bool | LogprobOptions,  # noqa: FBT001 - as the public calls have it
        deadline: Deadline,
    ) -> Coroutine[Any, Any, ExpandRequest]:
        """A request for one path to its end, whose arguments are :meth:`AsyncPolicyClient.generate`'s."""
        settings = path_settings(self._profile, check_sampling(sampling).over(self._sampling))
        return self._request(source, 1, settings, logprobs, deadline)

    async def _request(
        self,
        source: Prefix | Branch | str | Sequence[int],
        n: int,
        settings: StepSettings,
        logprobs: bool | LogprobOptions,  # noqa: FBT001 - as the public calls have it
        deadline: Deadline,
    ) -> ExpandRequest:
        info = self._info
        wanted = check_logprobs(logprobs, info, info.vocab_size)
        if isinstance(source, Branch):
            prefix = source.prefix
        elif isinstance(source, Prefix):
            prefix = source
        else:
            async with deadline.limit("the text was not tokenised"):
                prefix = await self.prefix(source)
        check_generates(info)
        check_origin(prefix, info.tokenizer_path)
        # With deterministic inference every request without a seed uses seed 42: all siblings would be equal.
        seed = random.getrandbits(48) if info.is_deterministic else None
        fields, limit = settle(settings, prefix, info, seed)
        if fields.seed is not None and info.is_deterministic is False:  # None: a router does not tell
            self._warn_of_seed(fields.seed)
        check_token_fields(fields, info.vocab_size)
        return ExpandRequest(prefix, n, fields, limit, wanted, deadline)

    def _warn_of_seed(self, seed: int) -> None:
        if self._has_warned_of_seeds:
            return
        self._has_warned_of_seeds = True
        warnings.warn(
            f"sampling.seed = {seed} has no effect: this server was not started with --enable-deterministic-inference",
            SeedIgnoredWarning,
            stacklevel=5,  # the line that called expand or generate
        )

    def _root(self, encoded: tuple[Sequence[int], str], namespace: str | None) -> Prefix:
        ids, text = encoded
        check_fits(len(ids), self._info.max_input_tokens)
        return Prefix(ids, text, origin=Origin(self._info.tokenizer_path, namespace))
