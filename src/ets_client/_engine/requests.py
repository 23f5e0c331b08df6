"""How samples, prefills and labels are written down for what answers: a server, or SGLang's router in front of some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .._wire.generate import generate_body, router_body, server_n_body, warm_body
from .._wire.labels import choice_body, label_body, router_label_body
from ..errors import UnsupportedError
from .outgoing import Outgoing
from .rids import new_rid, new_rids

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .._core.plan import Shape
    from .._core.ranks import Ranks
    from ..logprobs import LogprobOptions
    from ..prefix import Prefix

__all__ = ["BatchRequests", "Requests", "RouterRequests", "ServerNRequests"]

_ROUTING_KEY = "X-SMG-Routing-Key"


class Requests(Protocol):
    """Writes requests; each has request ids of its own, so a try that is repeated is written anew."""

    @property
    def shape(self) -> Shape:
        """What a request for several samples looks like."""
        ...

    def samples(
        self,
        prefix: Prefix,
        sampling: Sequence[dict[str, Any]],
        *,
        logprobs: LogprobOptions | None,
        stream: bool = False,
    ) -> Outgoing:
        """Samples of one prefix.

        Args:
            prefix: what is expanded.
            sampling: SGLang's fields, one a sample.
            logprobs: which log-probabilities are wanted, or None.
            stream: whether the reply shall come piece by piece.
        """
        ...

    def prefill(self, prefix: Prefix) -> Outgoing:
        """A request that only puts a prefix into the cache."""
        ...

    def together(self, prefix: Prefix) -> Hashable:
        """Prefixes with the same key can go in one request for labels."""
        ...

    def labels(self, prefixes: Sequence[Prefix], labels: Sequence[int]) -> Outgoing:
        """The log-probabilities of labels after each prefix; all have the same :meth:`together`."""
        ...

    def choices(self, prefixes: Sequence[Prefix], labels: Sequence[int]) -> Outgoing:
        """The choice among labels after each prefix; all have the same :meth:`together`.

        Raises:
            UnsupportedError: a bias is not carried.
        """
        ...


class BatchRequests:
    """One batch, in which each sample has its own id, seed and sampling, and can be aborted alone."""

    shape: Shape = "batch"

    def __init__(self, ranks: Ranks | None = None) -> None:
        """Make it.

        Args:
            ranks: homes of trees, where the server has several data-parallel ranks.
        """
        self._ranks = ranks

    def rank(self, prefix: Prefix) -> int | None:
        """The rank that shall compute a prefix; None for the only one."""
        return None if self._ranks is None else self._ranks.of(prefix)

    def samples(
        self,
        prefix: Prefix,
        sampling: Sequence[dict[str, Any]],
        *,
        logprobs: LogprobOptions | None,
        stream: bool = False,
    ) -> Outgoing:
        """Samples of one prefix."""
        rids = new_rids(len(sampling))
        body = generate_body(
            prefix.step_token_ids if prefix.parent is None else prefix.token_ids,  # of a root without a copy
            rids,
            sampling,
            logprobs=logprobs,
            namespace=prefix.origin.namespace,
            stream=stream,
            rank=self.rank(prefix),
        )
        return Outgoing("POST", "/generate", body, rids)

    def prefill(self, prefix: Prefix) -> Outgoing:
        """A request that only puts a prefix into the cache."""
        rid = new_rid()
        body = warm_body(prefix.token_ids, rid, prefix.origin.namespace, self.rank(prefix))
        return Outgoing("POST", "/generate", body, (rid,))

    def together(self, prefix: Prefix) -> Hashable:
        """A request gives all of its prompts a namespace or none, and goes to one rank."""
        return prefix.origin.namespace is None, self.rank(prefix)

    def labels(self, prefixes: Sequence[Prefix], labels: Sequence[int]) -> Outgoing:
        """The log-probabilities of labels after each prefix."""
        rids = new_rids(len(prefixes) * len(labels))
        prompts = [prefix.token_ids for prefix in prefixes]
        body = label_body(prompts, rids, labels, _namespaces(prefixes), self.rank(prefixes[0]))
        return Outgoing("POST", "/generate", body, rids)

    def choices(self, prefixes: Sequence[Prefix], labels: Sequence[int]) -> Outgoing:
        """The choice among labels after each prefix."""
        rids = new_rids(len(prefixes))
        prompts = [prefix.token_ids for prefix in prefixes]
        body = choice_body(prompts, rids, labels, _namespaces(prefixes), self.rank(prefixes[0]))
        return Outgoing("POST", "/generate", body, rids)


class ServerNRequests(BatchRequests):
    """SGLang's own ``n=``, which gives the samples ids that nobody knows before: none can be aborted."""

    shape: Shape = "server_n"

    def samples(
        self,
        prefix: Prefix,
        sampling: Sequence[dict[str, Any]],
        *,
        logprobs: LogprobOptions | None,
        stream: bool = False,
    ) -> Outgoing:
        """Samples of one prefix; all have the sampling of the first."""
        if len(sampling) == 1:
            return super().samples(prefix, sampling, logprobs=logprobs, stream=stream)
        _refuse_chosen(logprobs, "n=")
        rid = new_rid()
        body = server_n_body(
            prefix.token_ids,
            rid,
            len(sampling),
            sampling[0],
            logprobs=logprobs,
            namespace=prefix.origin.namespace,
            stream=stream,
            rank=self.rank(prefix),
        )
        return Outgoing("POST", "/generate", body, _numbered(rid, len(sampling)), is_abortable=False)


class RouterRequests:
    """Batches as SGLang's routers take them: one id and one sampling for all, and no aborts.

    The routing key keeps a tree on one worker, and so in one cache, where the router's policy is ``manual``.
    """

    shape: Shape = "router"

    def samples(
        self,
        prefix: Prefix,
        sampling: Sequence[dict[str, Any]],
        *,
        logprobs: LogprobOptions | None,
        stream: bool = False,
    ) -> Outgoing:
        """Samples of one prefix; all have the sampling of the first."""
        _refuse_chosen(logprobs, "router")
        rid, namespace = new_rid(), prefix.origin.namespace
        body = router_body(
            prefix.token_ids, len(sampling), rid, sampling[0], namespace=namespace, logprobs=logprobs, stream=stream
        )
        return _routed(body, _numbered(rid, len(sampling)), [prefix])

    def prefill(self, prefix: Prefix) -> Outgoing:
        """A request that only puts a prefix into the cache."""
        rid = new_rid()
        body = router_body(prefix.token_ids, 1, rid, {"max_new_tokens": 0}, namespace=prefix.origin.namespace)
        return _routed(body, _numbered(rid, 1), [prefix])

    def together(self, prefix: Prefix) -> Hashable:
        """A router takes one namespace, and one place where log-probabilities begin, for all prompts of a request."""
        return len(prefix), prefix.origin.namespace

    def labels(self, prefixes: Sequence[Prefix], labels: Sequence[int]) -> Outgoing:
        """The log-probabilities of labels after each prefix."""
        rid, first = new_rid(), prefixes[0]
        rows = [[*prefix.token_ids, label] for prefix in prefixes for label in labels]
        body = router_label_body(rows, rid, namespace=first.origin.namespace)
        return _routed(body, _numbered(rid, len(rows)), prefixes)

    def choices(self, prefixes: Sequence[Prefix], labels: Sequence[int]) -> Outgoing:  # noqa: ARG002
        """Routers drop ``logit_bias``."""
        raise UnsupportedError("a choice among labels", "SGLang's routers drop logit_bias; ask for each label's share")


def _namespaces(prefixes: Sequence[Prefix]) -> list[str] | None:
    """Of all prefixes, or None: those that go in one request have all one or none."""
    return [prefix.origin.namespace for prefix in prefixes if prefix.origin.namespace is not None] or None


def _refuse_chosen(logprobs: LogprobOptions | None, shape: str) -> None:
    if logprobs is not None and logprobs.chosen:
        raise UnsupportedError(
            "log-probabilities of chosen ids", f"SGLang's {shape} takes no list of ids for each sample; leave them out"
        )


def _numbered(rid: str, samples: int) -> tuple[str, ...]:
    return tuple(f"{rid}_{place}" for place in range(samples))  # as SGLang calls the samples of a batch (io_struct.py)


def _routed(body: bytes, rids: tuple[str, ...], prefixes: Sequence[Prefix]) -> Outgoing:
    keys = {_tree(prefix) for prefix in prefixes}
    headers = {_ROUTING_KEY: keys.pop()} if len(keys) == 1 else {}
    return Outgoing("POST", "/generate", body, rids, headers=headers, is_abortable=False)


def _tree(prefix: Prefix) -> str:
    _, length, value = prefix.root.fingerprint
    return f"{length:x}-{value:x}"
