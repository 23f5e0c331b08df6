"""First contact: what the server is, which profile fits, and who tokenises."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .._core.limiter import Limits
from .._core.ranks import Ranks
from .._core.shadow import Shadow
from .._core.shadow_rules import CacheRules
from .._core.versions import untried
from .._wire.admin import read_loads
from ..errors import ConfigurationError, RequestRejectedError, ServerFaultError, UnsupportedError
from ..profiles import CompletionPrompt, Profile, ServerChatPrompt, Steps, load_profile
from .admitter import Admitter
from .deadline import Deadline
from .dispatcher import Dispatcher
from .expander import Expander
from .facts import fetch_router_tokenizer, fetch_server_info
from .labels import Labels
from .outgoing import Outgoing
from .preparer import Preparer
from .profile_checker import ProfileChecker
from .prompts import Prompts
from .requests import BatchRequests, RouterRequests, ServerNRequests
from .reward import Rewards
from .server_cache import ServerCache
from .tokenizers import LocalTokenizer, Remote, RouterTokenizer, ServerTokenizer, Tokenizer, find_local_tokenizer

if TYPE_CHECKING:
    import os
    from typing import Literal

    from ..sampling import SamplingParams
    from ..server_info import ServerInfo, WorkerLoad
    from .bookkeeper import Bookkeeper
    from .caller import Caller
    from .requests import Requests

__all__ = ["Connection", "connect"]

_log = logging.getLogger("ets_client")
_LOAD_SECONDS = 5.0
_UNTOLD_TOKENS = 1 << 21  # of a cache whose size no one tells; an 80 GB GPU holds as many of a 1B model


@dataclass(frozen=True, slots=True)
class Connection:
    """What first contact found out.

    Attributes:
        info: the server's facts.
        profile: the given profile, or a generic one.
        tokenizer: who turns text into ids.
        prepare: makes requests of what callers give.
        cache: what is known of the server's cache.
        expander: runs expands.
        labels: asks for label probabilities.
        rewards: asks a reward head.
        checker: compares the profile with the tokenizer.
        admitter: gives expands their turn, or None when all go at once.
        dispatcher: lets expands leave together, or None when each leaves as soon as it is ready.
    """

    info: ServerInfo
    profile: Profile
    tokenizer: Tokenizer
    prepare: Preparer
    cache: ServerCache
    expander: Expander
    labels: Labels
    rewards: Rewards
    checker: ProfileChecker
    admitter: Admitter | None = None
    dispatcher: Dispatcher | None = None

    def now(self, found: ServerInfo) -> ServerInfo:
        """Facts that were asked for again, with what first contact knew from elsewhere than the server.

        Args:
            found: the server's facts now.
        """
        known = self.info
        return replace(
            found.within(known.context_length),
            vocab_size=known.vocab_size,
            vocab_source=known.vocab_source,
            keep_alive_seconds=known.keep_alive_seconds,
            has_tokenizer=known.has_tokenizer,
        )


async def connect(
    caller: Caller,
    profile: Profile | str | os.PathLike[str] | None,
    timeout: float | None,
    *,
    sampling: SamplingParams,
    admission: Literal["adaptive"] | int | None = None,
    departure_interval: float | None = None,
    plan: Literal["batch", "server_n"] = "batch",
    keep_alive_seconds: float | None = None,
    books: Bookkeeper | None = None,
) -> Connection:
    """Ask the server what it is.

    Args:
        caller: how to ask.
        profile: a profile, its name or file, or None to derive one.
        timeout: seconds for each question.
        sampling: the client's.
        admission: samples that may be in flight, ``adaptive``, or None for no limit.
        departure_interval: seconds from one departure of expands to the next at most, or None.
        plan: how a server is asked for several samples.
        keep_alive_seconds: when the server closes an idle connection, where that is known.
        books: where what samples cost is written down.

    Raises:
        RequestError: the server does not answer as SGLang does.
        ConfigurationError: there is no such profile, it is of another model than the server's, or what answers is a
            router that cannot be served as asked.
    """
    if profile is None or isinstance(profile, Profile):
        given = profile
    else:
        given = await asyncio.to_thread(load_profile, profile)  # it reads files
    info = await fetch_server_info(caller, timeout)
    if (warning := untried(info.version)) is not None:
        _log.warning("%s", warning)
    copies = (info.dp_size or 1) if info.frontend == "server" else 1
    ranks = Ranks(copies) if copies > 1 else None
    requests = _requests(info, plan, ranks)
    server, router_size = await _remote(caller, info, timeout)
    local = await find_local_tokenizer(info.tokenizer_path, server)
    if local is None and not server.adds_special_tokens:
        raise ConfigurationError(
            f"{info.frontend} has no tokenizer of {info.tokenizer_path}, and there is none on this machine: start the "
            f"router with --tokenizer-path, POST one named {info.model_path!r} to its /v1/tokenizers, or put the "
            "model's folder there and install ets-client[tokenizers]"
        )
    if given is None:
        given = await _generic_profile(info, server)
    stated = given.model.vocab_size if given.model is not None else None
    found = await asyncio.to_thread(_vocab_size_on_disk, info.model_path)
    if stated is not None and found is not None and stated != found:
        raise ConfigurationError(
            f"profile {given.name!r} is for a vocabulary of {stated} tokens, the server's model {info.model_path} has "
            f"{found}: choose the profile of that model, or none to have one derived"
        )
    vocabulary = [(stated, "the profile"), (found, "the model's folder")]
    if isinstance(local, LocalTokenizer):
        vocabulary.append((local.vocab_size, "the tokenizer"))
    vocabulary.append((router_size, "the router's tokenizer"))
    size, source = next((told for told in vocabulary if told[0] is not None), (None, ""))
    info = replace(
        info.within(given.model.context_length if given.model is not None else None),
        vocab_size=size,
        vocab_source=source,
        keep_alive_seconds=keep_alive_seconds,
        has_tokenizer=bool(server.adds_special_tokens),
    )
    tokenizer = local or server
    prepare = Preparer(info, given, Prompts(given.prompt, tokenizer, server, size), sampling)
    admitter = None
    if admission is not None:
        admitter = _admitter(caller, info, admission, has_departures=departure_interval is not None)
    cache = _cache(caller, info, books, ranks)
    dispatcher = None
    if departure_interval is not None:
        dispatcher = Dispatcher(departure_interval, lambda: caller.counters.samples)
    expander = Expander(
        caller,
        tokenizer,
        cache,
        streams_increments=info.streams_increments,
        requests=requests,
        dispatcher=dispatcher,
    )
    labels = Labels(caller, tokenizer, size, info.max_input_tokens, cache, expander.warm, requests)
    rewards = Rewards(caller, info.max_input_tokens)
    asked = server if isinstance(server, ServerTokenizer) else None
    checker = ProfileChecker(given, local or asked, info.tokenizer_path, asked)
    return Connection(info, given, tokenizer, prepare, cache, expander, labels, rewards, checker, admitter, dispatcher)


def _cache(caller: Caller, info: ServerInfo, books: Bookkeeper | None, ranks: Ranks | None) -> ServerCache:
    """An empty cache of the server's size, or of each rank's; behind a router, of all servers together."""
    copies = 1 if ranks is not None else info.copies
    rules = CacheRules(
        capacity_tokens=(info.max_total_tokens or _UNTOLD_TOKENS) * copies,
        page_size=info.page_size or 1,
        is_enabled=info.has_radix_cache is not False,
    )
    return ServerCache(
        Shadow(rules), caller.counters, caller.seconds_of_prefill, is_predictable=copies == 1, books=books, ranks=ranks
    )


def _requests(info: ServerInfo, plan: Literal["batch", "server_n"], ranks: Ranks | None) -> Requests:
    if info.frontend == "server":
        return ServerNRequests(ranks) if plan == "server_n" else BatchRequests(ranks)
    if plan == "server_n":
        # It takes no list of one id, and with a bare one SGLang before 0.5.23 leaks an entry for each sample.
        raise ConfigurationError(
            f"plan = 'server_n' does not go through {info.frontend}: leave plan out, or use a server's own address"
        )
    return RouterRequests()


def _admitter(
    caller: Caller, info: ServerInfo, admission: Literal["adaptive"] | int, *, has_departures: bool
) -> Admitter:
    kv_tokens = info.max_total_tokens
    if kv_tokens is not None:
        kv_tokens *= info.copies
    if admission != "adaptive":
        return Admitter(Limits.fixed(admission), None, kv_tokens)

    async def loads() -> tuple[WorkerLoad, ...]:
        get = Outgoing("GET", "/v1/loads", lane="control")
        return await caller.once(lambda: get, read_loads, Deadline.after(_LOAD_SECONDS))

    # What waits in the server's own queue starts one by one as others end, whenever it left: so nothing shall.
    # On an H200 steps of exponential length had 28,000 tokens/s with 512 in flight, and 21,000 with 128 more.
    limits = Limits.around(info.native_batch, None if has_departures else info.running_most)
    return Admitter(limits, loads if info.has_loads else None, kv_tokens)


async def _remote(caller: Caller, info: ServerInfo, timeout: float | None) -> tuple[Remote, int | None]:
    """What tokenises over there, and the size of its vocabulary where that is told."""
    if info.frontend == "server":
        return ServerTokenizer(caller, timeout), None
    found = await fetch_router_tokenizer(caller, info, timeout)
    if found is None:
        return RouterTokenizer(caller, timeout, None), None
    return RouterTokenizer(caller, timeout, found.name), found.vocab_size


async def _generic_profile(info: ServerInfo, server: Remote) -> Profile:
    prompt: ServerChatPrompt | CompletionPrompt
    try:
        await server.encode_chat([{"role": "user", "content": "1 + 1"}])
        prompt, style = ServerChatPrompt(), "the chat template of its tokenizer"
    except (RequestRejectedError, ServerFaultError, UnsupportedError):
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
