"""The client of a policy server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ._core.guard import check_path, check_sampling, check_timeout, check_weight
from ._core.provenance import effective_sampling
from .errors import InvalidRequestError
from .policy_calls import PolicyCalls
from .prefix import Origin, Prefix
from .server_calls import ServerCalls
from .tree import Tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Hashable
    from typing import Any, TypeVar

    from ._engine.expander import ExpandRequest
    from ._engine.streaming import SampleStream
    from .branch import Branch
    from .effective_sampling import EffectiveSampling
    from .sampling import SamplingParams

    T = TypeVar("T")

__all__ = ["AsyncPolicyClient"]


class AsyncPolicyClient(ServerCalls, PolicyCalls):
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
        admission: samples that may be in flight at once: a number, ``adaptive`` for a limit that finds the fewest which
            keep the server busy, or None for no limit. Expands wait for their turn, those of started trees first.
        departure_interval: seconds, 0.25 for example: expands that become ready one by one leave together, since each
            prefill step stops what is being decoded. For searches without a level barrier, and where more wants to run
            than the server runs. They leave when waiting has cost as much as a prefill step would, after so many
            seconds at the latest. An idle client delays nothing, and nobody waits where no fewer samples want to leave
            than run. None lets each leave as it becomes ready.
        transport: an httpx transport to use instead of the client's own connections; it stays the caller's to close.
        observer: a function that is told of failed attempts, of aborts, and when the server is lost, full or back
            (:data:`~ets_client.events.ClientEvent`). It is called in the event loop and must not block.

    Raises:
        ConfigurationError: the address or an option cannot be used.
    """

    def tree(self, name: str = "", *, timeout: float | None = None, weight: float = 1.0) -> Tree:
        """A scope for one search tree: the same calls, which all end with it.

        ::

            async with client.tree("question 7", timeout=120) as tree:
                root = await tree.root(question)
                expansion = await tree.expand(root, n=8)

        Args:
            name: how errors call it.
            timeout: seconds from entering it that everything in it may take together; None for no limit. Calls can
                have less each.
            weight: its share of the turns while others wait too, where the client has ``admission``: a tree of weight
                2 gets twice the samples of one of weight 1.

        Raises:
            InvalidRequestError: the time or the weight is not above 0.
        """
        return Tree(self, name, check_timeout(timeout), check_weight(weight))

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

    def _tree_of(self, prefix: Prefix) -> Hashable:
        return prefix.root.fingerprint

    def _run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        return work

    def _begin(
        self, opening: Coroutine[Any, Any, tuple[ExpandRequest, SampleStream]]
    ) -> Awaitable[tuple[ExpandRequest, SampleStream]]:
        return opening
