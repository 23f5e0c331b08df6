"""Calls about the server itself, besides generation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ._core.guard import check_flag, check_ids, check_text, check_timeout, check_wait
from ._core.support import require
from ._engine.facts import fetch_server_info
from ._engine.outgoing import Outgoing
from ._wire.admin import read_loads, read_model_info
from ._wire.info import read_metrics
from .connected import Connected
from .errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from .profiles import ProfileReport
    from .server_info import ModelInfo, ServerInfo, ServerMetrics, WorkerLoad

    T = TypeVar("T")

__all__ = ["ServerCalls"]

_SPARE_SECONDS = 30.0


class ServerCalls(Connected):
    """What a server tells of itself, and what it can be told to do."""

    async def server_info(self) -> ServerInfo:
        """What the server says of itself now.

        Raises:
            RequestError: it does not answer as SGLang does.
        """
        connection = self._ready()
        return connection.now(await fetch_server_info(self._caller, self._timeout))

    async def model_info(self) -> ModelInfo:
        """The served model.

        Raises:
            RequestError: the server does not answer as SGLang does.
        """
        path = "/model_info" if self._ready().info.frontend == "server" else "/get_model_info"
        return await self._get(path, read_model_info)

    async def loads(self) -> tuple[WorkerLoad, ...]:
        """The load of each data-parallel worker now.

        Raises:
            UnsupportedError: it is a router, which tells no loads of this kind; nothing was sent.
            RequestError: the server does not answer as SGLang does.
        """
        info = self._ready().info
        require(info.has_loads, "loads()", f"{info.frontend} has no /v1/loads; ask the workers at their own addresses")
        return await self._get("/v1/loads", read_loads)

    async def metrics(self) -> ServerMetrics:
        """The server's own counters (it must run with ``--enable-metrics``, as ``ets-server`` does).

        Raises:
            UnsupportedError: the server has no metrics; nothing was sent.
            RequestError: it does not answer.
        """
        info = self._ready().info
        require(info.has_metrics, "metrics()", "the server was started without --enable-metrics")
        # Without the slash SGLang redirects.
        return await self._get("/metrics/" if info.frontend == "server" else "/engine_metrics", read_metrics)

    async def health(self, timeout: float = 30.0) -> bool:
        """Whether the server generates. SGLang tries it with one token, which takes at least a second.

        Args:
            timeout: seconds until the answer counts as no.
        """
        try:
            await self._ask_once("/health_generate", timeout)
        except RequestError:
            return False
        return True

    async def ready(self, timeout: float = 30.0) -> bool:
        """Whether the server takes requests now: it is up, not paused and not about to stop.

        SGLang 0.5.23 answers at once; older versions have no such endpoint and are asked as in :meth:`health`.

        Args:
            timeout: seconds until the answer counts as no.
        """
        check_timeout(timeout)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        try:
            await self._ask_once("/ready", timeout)
        except RequestError as error:
            left = end - loop.time()
            return error.status == 404 and left > 0 and await self.health(left)
        return True

    async def flush_cache(self, wait: float = 30.0) -> None:
        """Empty the server's KV cache. For everybody who uses it: do this to servers of your own.

        Args:
            wait: seconds to wait until nothing runs or waits there; the server flushes only then.

        Raises:
            RequestRejectedError: the server was busy all the time.
            AuthenticationError: the server wants its admin key.
            RequestError: it does not answer.
        """
        cache = self._ready().cache
        post = Outgoing("POST", f"/flush_cache?timeout={check_wait(wait):g}", lane="control", is_admin=True)
        await self._caller.call(lambda: post, bytes, self._deadline(None), wait + _SPARE_SECONDS)
        cache.clear()

    async def abort(self, *rids: str) -> None:
        """Stop samples on the server. Each comes back as a branch whose end is ``aborted``, with what it had.

        SGLang does not tell whether an id was known. The call does not fail; it ends when the server takes no abort for
        2 s.

        Args:
            rids: request ids, as :attr:`BranchStream.rids` and :attr:`Branch.rid` give them.

        Raises:
            InvalidRequestError: one is empty or no text; SGLang may stop everybody's samples for an empty one.
            UnsupportedError: it is a router, which has no aborts; cancel the call instead, which closes its connection.
        """
        info = self._ready().info
        require(info.has_aborts, "abort()", f"{info.frontend} has no /abort_request; cancel the call instead")
        await self._caller.abort(tuple(check_text(rid, f"rids[{place}]") for place, rid in enumerate(rids)))

    async def check_profile(self) -> ProfileReport:
        """Whether the profile fits the server's tokenizer: delimiters, prompt format, special tokens, labels.

        It is asked for once for each connection: by one request at most where the server's tokenizer is on this
        machine, else by four. A server that does not tokenise gives a report that says so.

        Returns:
            A finding for each thing that was checked, with the exact tokens; ``print`` it.

        Raises:
            RequestError: the server was asked and did not answer.
        """
        return await self._ready().checker.report()

    async def tokenize(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """The token ids of a text.

        Args:
            text: any text.
            add_special_tokens: whether the tokenizer adds its own, a BOS for example.

        Raises:
            InvalidRequestError: the text is empty.
            RequestError: the server was asked and failed.
        """
        tokenizer = self._ready().tokenizer
        special = check_flag(add_special_tokens, "add_special_tokens")
        return list(await tokenizer.encode(check_text(text), add_special_tokens=special))

    async def tokenize_each(self, texts: Sequence[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        """The token ids of many texts: in one request, where the server tokenises; through a router one each.

        Args:
            texts: any texts.
            add_special_tokens: whether the tokenizer adds its own to each, a BOS for example.

        Raises:
            InvalidRequestError: a text is empty.
            RequestError: the server was asked and failed.
        """
        tokenizer = self._ready().tokenizer
        special = check_flag(add_special_tokens, "add_special_tokens")
        checked = [check_text(text, f"texts[{place}]") for place, text in enumerate(texts)]
        if not checked:
            return []
        return [list(ids) for ids in await tokenizer.encode_each(checked, add_special_tokens=special)]

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included.

        Args:
            token_ids: ids of the server's vocabulary.

        Raises:
            InvalidRequestError: there are none, or one is outside the vocabulary.
            RequestError: the server was asked and failed.
        """
        connection = self._ready()
        return await connection.tokenizer.decode(check_ids(token_ids, connection.info.vocab_size))

    async def _ask_once(self, path: str, timeout: float) -> None:
        self._ready()
        get = Outgoing("GET", path, lane="control")
        await self._caller.once(lambda: get, bytes, self._deadline(timeout))

    async def _get(self, path: str, read: Callable[[bytes], T], timeout: float | None = None) -> T:
        self._ready()
        get = Outgoing("GET", path, lane="control")
        return await self._caller.call(lambda: get, read, self._deadline(timeout))
