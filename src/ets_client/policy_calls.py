"""The calls of a search: prefixes are made and expanded."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial as partial_of
from typing import TYPE_CHECKING, Literal

from ._core.guard import check_flag, check_partial, check_path, check_paths
from ._core.serves import check_generates
from ._core.ticket import Ticket
from ._engine.expander import Expander
from ._engine.partly import expand_partly
from .errors import PrunedError
from .score_calls import ScoreCalls
from .streams import BranchStream, TextStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
    from typing import Any, TypeVar

    from ._core.ledger_tree import TreeAccount
    from ._engine.connect import Connection
    from ._engine.expander import ExpandRequest
    from ._engine.pending import PendingCall, PendingCalls
    from ._engine.streaming import SampleStream
    from .branch import Branch, Expansion
    from .logprobs import LogprobOptions
    from .prefix import Prefix
    from .sampling import SamplingParams
    from .usage import Usage

    T = TypeVar("T")
    _Run = Callable[[Expander, ExpandRequest, PendingCall], Coroutine[Any, Any, Expansion]]

__all__ = ["PolicyCalls"]


class PolicyCalls(ScoreCalls):
    """What a search asks, of a client or within one of its trees."""

    _name = ""  # of a tree
    _weight = 1.0
    _account: TreeAccount | None = None
    _pending: PendingCalls

    @abstractmethod
    def _begin(
        self, opening: Coroutine[Any, Any, tuple[ExpandRequest, SampleStream]]
    ) -> Awaitable[tuple[ExpandRequest, SampleStream]]: ...

    @abstractmethod
    def _tree_of(self, prefix: Prefix) -> Hashable: ...

    async def prune(self, *paths: Prefix | Branch) -> None:
        """Give up paths and all that continues them.

        What this tree runs or waits for there ends with a :class:`PrunedError`, as does what it is asked there from now
        on, and the samples are stopped on the server. A call whose samples run ends when the server tells what they
        had, within 2 s. The paths are no longer live in the ledger. Of a client, it is what was called outside of its
        trees.

        When two samples of one parent came out alike, each is pruned by itself: what was asked of the other goes on.

        Args:
            paths: what is given up; a prefix of another model, or one that was never sent, changes nothing.

        Raises:
            InvalidRequestError: one of them is no path.
        """
        connection = self._ready()
        prefixes = check_paths(paths, connection.info.tokenizer_path)
        gone = connection.cache.books.prune(self._account, prefixes)
        await self._pending.prune(self._name, prefixes, gone)

    def _ready_for(self, request: ExpandRequest) -> Connection:
        connection = self._ready()
        books, prefix = connection.cache.books, request.prefix
        if books.is_pruned(prefix):
            raise PrunedError(self._name, len(prefix))
        books.expand(prefix)
        return connection

    async def _open_stream(
        self, request: ExpandRequest, *, every_token: bool, speculative: bool = False
    ) -> SampleStream:
        with self._pending.call(request.prefix) as call:
            stream = await self._open_in_turn(request, call, every_token=every_token, speculative=speculative)
            if call.pruned is not None:
                await stream.aclose()
        self._pending.add(request.prefix, stream)
        return stream

    async def _open_in_turn(
        self, request: ExpandRequest, call: PendingCall, *, every_token: bool, speculative: bool
    ) -> SampleStream:
        connection = self._ready_for(request)
        if connection.admitter is None:
            return await connection.expander.open(request, call, every_token=every_token)
        turn = await connection.admitter.turn(self._ticket(request, speculative=speculative), request.deadline)
        try:
            stream = await connection.expander.open(request, call, every_token=every_token)
        except BaseException:
            turn.close()
            raise
        stream.on_close, stream.on_sample = turn.close, partial_of(turn.done, 1)
        return stream

    def _ticket(self, request: ExpandRequest, *, speculative: bool) -> Ticket:
        prefix = request.prefix
        root, parent = prefix.root, prefix.parent
        return Ticket(
            request.n,
            self._tree_of(prefix),
            family=(prefix if parent is None else parent).fingerprint,
            warm=len(prefix),  # a deeper prefix is a warmer one: its parent was generated there
            weight=self._weight,
            speculative=speculative,
            root=root,
            path=len(prefix) - len(root),
            step=request.limit.tokens,
        )

    async def root(self, question: str, *, namespace: str | None = None) -> Prefix:
        """The root of a search: a question in the profile's prompt format, worked examples included.

        Args:
            question: the question's text.
            namespace: see :meth:`prefix`.

        Raises:
            InvalidRequestError: the question is empty, or the prompt is longer than the server takes.
            RequestError: the server was asked to tokenise and failed.
        """
        return await self._run(self._ready().prepare.root(question, namespace))

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
        return await self._run(self._ready().prepare.prefix(source, namespace))

    async def expand(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        partial: Literal["raise", "return"] = "raise",
        speculative: bool = False,
        timeout: float | None = None,
    ) -> Expansion:
        """Sample ``n`` next steps after a prefix.

        All samples go in one POST, each with its own request id. On a prefix that the server does not hold yet the
        first sample goes alone, and the others when its first token shows that the prefix is cached; concurrent expands
        that share a cold part wait for one sample that computes it. ``Expansion.plan`` tells what was done.

        Args:
            prefix: where to go on. Text and ids are made a root first.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's. Without ``stop`` a step ends at the
                profile's delimiters; without ``max_new_tokens`` at the profile's step length, and the path at its path
                length.
            logprobs: whether each branch shall have the log-probabilities of its tokens;
                :class:`LogprobOptions` asks for those of other tokens too.
            partial: what happens when some samples have ended and others cannot: ``raise``, or ``return`` those that
                ended, with the others' errors in :attr:`Expansion.failures`. At the end of ``timeout``, for example.
            speculative: whether its result may never be wanted. With ``admission`` it goes only while nothing else
                waits and there is room to spare; :meth:`prune` its path to end it when it is refuted.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            Exactly ``n`` branches; with ``partial="return"`` at least one.

        Raises:
            InvalidRequestError: an argument would harm the server; nothing was sent.
            UnsupportedError: a sampling field that this server, or the router in front, cannot serve; nothing was sent.
            ConfigurationError: the server's model generates no text.
            PrunedError: its path was pruned.
            RequestError: the call failed; which subclass says why.

        Cancelling it stops its samples on the server in the background.
        """
        connection, deadline = self._ready(), self._deadline(timeout)
        run = expand_partly if check_partial(partial) == "return" else Expander.expand
        speculative = check_flag(speculative, "speculative")
        return await self._run(
            self._expand(
                partial_of(connection.prepare.step, prefix, n, sampling, logprobs, deadline),
                run,
                speculative=speculative,
            )
        )

    async def _expand(
        self, prepare: Callable[[], Awaitable[ExpandRequest]], run: _Run, *, speculative: bool = False
    ) -> Expansion:
        request = await prepare()
        del prepare  # what waits for a reply holds as little as it can
        with self._pending.call(request.prefix) as call:
            connection = self._ready_for(request)
            if connection.admitter is None:
                return await run(connection.expander, request, call)
            ticket = self._ticket(request, speculative=speculative)
            with await connection.admitter.turn(ticket, request.deadline) as turn:
                expansion = await run(connection.expander, request, call)
                if expansion.branches:
                    turn.done(len(expansion), sum(len(branch.token_ids) for branch in expansion))
                return expansion

    def expand_iter(
        self,
        prefix: Prefix | Branch | str | Sequence[int],
        n: int = 8,
        sampling: SamplingParams | None = None,
        *,
        logprobs: bool | LogprobOptions = False,
        speculative: bool = False,
        timeout: float | None = None,
    ) -> BranchStream:
        """Sample ``n`` next steps and get each as soon as it ends.

        Args:
            prefix: as in :meth:`expand`, like all the arguments.
            n: samples, >= 1.
            sampling: fields that differ from the client's and the profile's.
            logprobs: as in :meth:`expand`.
            speculative: as in :meth:`expand`.
            timeout: seconds until the last branch; None takes the client's.

        Returns:
            An async context manager and iterator. Entering it raises what :meth:`expand` raises; iterating it raises
            :class:`RequestError` when the stream breaks, :class:`PrunedError` when its path is pruned, and
            :class:`TreeClosedError` when its tree is left. Leaving it stops what has not ended on the server.
        """

        async def open_it() -> tuple[ExpandRequest, SampleStream]:
            connection, deadline = self._ready(), self._deadline(timeout)
            request = await connection.prepare.step(prefix, n, sampling, logprobs, deadline)
            return request, await self._open_stream(request, every_token=False, speculative=speculative)

        return BranchStream(lambda: self._begin(open_it()), self._ready().expander.branches)

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

        Cancelling it stops the sample on the server in the background.
        """
        connection, deadline = self._ready(), self._deadline(timeout)
        prepare = partial_of(connection.prepare.path, prefix, sampling, logprobs, deadline)
        return (await self._run(self._expand(prepare, Expander.expand)))[0]

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

        async def open_it() -> tuple[ExpandRequest, SampleStream]:
            connection, deadline = self._ready(), self._deadline(timeout)
            request = await connection.prepare.path(prefix, sampling, logprobs, deadline)
            return request, await self._open_stream(request, every_token=True)

        return TextStream(lambda: self._begin(open_it()), self._ready().expander.branches)

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
        return await self._run(connection.expander.warm(start, self._deadline(timeout)))
