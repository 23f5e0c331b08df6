"""First contact: what the server is, which profile fits, and who tokenises."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from .._core.versions import untried
from .._wire.info import read_server_info
from ..errors import ConfigurationError, RequestRejectedError, ServerFaultError
from ..profiles import CompletionPrompt, Profile, ServerChatPrompt, Steps, load_profile
from .caller import Outgoing
from .deadline import Deadline
from .expander import Expander
from .labels import Labels
from .profile_checker import ProfileChecker
from .prompts import Prompts
from .tokenizers import LocalTokenizer, ServerTokenizer, Tokenizer, find_local_tokenizer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from .._core.warmth import Warmth
    from ..server_info import ServerInfo
    from .caller import Caller

__all__ = ["Connection", "connect", "fetch_server_info"]

_log = logging.getLogger("ets_client")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """What first contact found out.

    Attributes:
        info: the server's facts.
        profile: the given profile, or a generic one.
        tokenizer: who turns text into ids.
        vocab_size: ids below it exist, or None when nobody knows.
        prompts: turns what callers give into ids.
        expander: runs expands.
        labels: asks for label probabilities.
        checker: compares the profile with the tokenizer.
    """

    info: ServerInfo
    profile: Profile
    tokenizer: Tokenizer
    vocab_size: int | None
    prompts: Prompts
    expander: Expander
    labels: Labels
    checker: ProfileChecker


async def connect(
    caller: Caller, profile: Profile | str | os.PathLike[str] | None, warmth: Warmth, timeout: float | None
) -> Connection:
    """Ask the server what it is.

    Args:
        caller: how to ask.
        profile: a profile, its name or file, or None to derive one.
        warmth: what is known of the server's cache.
        timeout: seconds for each question.

    Raises:
        RequestError: the server does not answer as SGLang does.
        ConfigurationError: there is no such profile, or it is of another model than the server's.
    """
    given = profile if isinstance(profile, Profile) or profile is None else load_profile(profile)
    info = await fetch_server_info(caller, timeout)
    if (warning := untried(info.version)) is not None:
        _log.warning("%s", warning)
    server = ServerTokenizer(caller, timeout)
    if given is None:
        given = await _generic_profile(info, server)
    local = await find_local_tokenizer(info.tokenizer_path, server)
    stated = given.model.vocab_size if given.model is not None else None
    found = await asyncio.to_thread(_vocab_size_on_disk, info.model_path)
    if stated is not None and found is not None and stated != found:
        raise ConfigurationError(
            f"profile {given.name!r} is for a vocabulary of {stated} tokens, the server's model {info.model_path} has "
            f"{found}: choose the profile of that model, or none to have one derived"
        )
    size = stated or found or (local.vocab_size if isinstance(local, LocalTokenizer) else None)
    tokenizer = local or server
    prompts = Prompts(given.prompt, tokenizer, server, size)
    expander = Expander(caller, tokenizer, warmth, streams_increments=info.streams_increments)
    labels = Labels(caller, tokenizer, size, info.max_input_tokens)
    checker = ProfileChecker(given, tokenizer, info.tokenizer_path, server)
    return Connection(info, given, tokenizer, size, prompts, expander, labels, checker)


async def fetch_server_info(caller: Caller, timeout: float | None) -> ServerInfo:
    """The server's facts, as they are now.

    Args:
        caller: how to ask.
        timeout: seconds for each question.

    Raises:
        RequestError: the server does not answer as SGLang does.
    """

    async def ask(path: str, read: Callable[[bytes], T]) -> T:
        get = Outgoing("GET", path, lane="control", hides_reply=True)  # /server_info holds the keys in clear
        return await caller.call(lambda: get, read, Deadline.after(timeout))

    model_info = await ask("/model_info", bytes)
    models = await ask("/v1/models", bytes)
    return await ask("/server_info", lambda body: read_server_info(body, model_info, models))


async def _generic_profile(info: ServerInfo, server: ServerTokenizer) -> Profile:
    prompt: ServerChatPrompt | CompletionPrompt
    try:
        await server.encode_chat([{"role": "user", "content": "1 + 1"}])
        prompt, style = ServerChatPrompt(), "the chat template of its tokenizer"
    except (RequestRejectedError, ServerFaultError):
        prompt, style = CompletionPrompt(), "plain text, since it has no chat template"
    _log.warning(
        "no profile was given: steps of %s end at a blank line, prompts use %s; choose one of `ets-client profiles` or "
        "write your own when the model was trained for other steps",
        info.model_path,
        style,
    )
    return Profile(
        name="generic", summary=f"derived from {info.model_path}", prompt=prompt, steps=Steps(delimiters=("\n\n",))
    )


def _vocab_size_on_disk(model_path: str) -> int | None:
    """The size of the embedding table, when the model's folder is on this machine."""
    try:
        config: object = json.loads((Path(model_path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    size = cast("dict[str, object]", config).get("vocab_size") if isinstance(config, dict) else None
    return size if isinstance(size, int) else None
