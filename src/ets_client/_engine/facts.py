"""What answers at the address: a server, or SGLang's router in front of some, and what either tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .._wire.admin import read_model_info
from .._wire.info import read_server_info
from .._wire.router import is_router, read_router_info, read_tokenizers, read_workers
from ..errors import AuthenticationError, ConfigurationError, RequestRejectedError, ServerFaultError
from .deadline import Deadline
from .outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._wire.router import RouterTokenizerEntry
    from ..server_info import ModelInfo, ServerInfo
    from .caller import Caller

__all__ = ["fetch_router_tokenizer", "fetch_server_info"]

T = TypeVar("T")


async def fetch_server_info(caller: Caller, timeout: float | None) -> ServerInfo:
    """The server's facts, as they are now.

    Args:
        caller: how to ask.
        timeout: seconds for each question.

    Raises:
        RequestError: what answers is neither SGLang nor its router.
        ConfigurationError: it is a router whose workers serve different models.
    """
    ask = _Ask(caller, timeout)
    try:
        model = await ask("/model_info", read_model_info)
    except RequestRejectedError as error:
        # The routers have none of the newer paths, and a /readiness that SGLang has not.
        if error.status != 404 or not await _is_router(ask):
            raise
        return await _router_info(ask)
    models = await ask("/v1/models", bytes)
    return await ask("/server_info", lambda body: read_server_info(body, model, models))


async def fetch_router_tokenizer(
    caller: Caller, info: ServerInfo, timeout: float | None
) -> RouterTokenizerEntry | None:
    """The router's tokenizer of the served model; one of another model would make other ids.

    Args:
        caller: how to ask.
        info: the facts of the router.
        timeout: seconds for the question.

    Returns:
        It, or None when the router has none.
    """
    try:
        known = await _Ask(caller, timeout)("/v1/tokenizers", read_tokenizers)
    except (RequestRejectedError, AuthenticationError):
        return None
    wanted = {info.model_path, info.tokenizer_path}
    return next((each for each in known if not wanted.isdisjoint((each.name, each.source))), None)


class _Ask:
    def __init__(self, caller: Caller, timeout: float | None) -> None:
        self._caller = caller
        self._timeout = timeout

    async def __call__(self, path: str, read: Callable[[bytes], T]) -> T:
        get = Outgoing("GET", path, lane="control", hides_reply=True)  # /server_info holds the keys in clear
        return await self._caller.call(lambda: get, read, Deadline.after(self._timeout))


async def _is_router(ask: _Ask) -> bool:
    try:
        return await ask("/readiness", is_router)
    except RequestRejectedError:
        return False


async def _router_info(ask: _Ask) -> ServerInfo:
    model: ModelInfo = await ask("/get_model_info", read_model_info)
    try:
        workers = await ask("/workers", read_workers)
    except (RequestRejectedError, AuthenticationError):
        workers = ()  # with keys of its own for the control plane
    served = sorted({worker.model_path for worker in workers})
    if len(served) > 1:
        raise ConfigurationError(
            f"the router's workers serve different models ({', '.join(served)}): ids of one are not ids of the other, "
            "so a search needs a router of one model, or the address of one server"
        )
    try:
        metrics = await ask("/engine_metrics", bytes)
    except (RequestRejectedError, ServerFaultError):
        metrics = b""  # 500 when no worker has any
    return await ask("/get_server_info", lambda body: read_router_info(body, model, workers, metrics))
