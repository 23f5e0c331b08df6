"""Ask a server whether it is ready: a token really generated, not an open port."""

from __future__ import annotations

from typing import Any, cast

import httpx

__all__ = ["StrangerError", "is_ready"]

_TOKEN_SECONDS = 60.0


class StrangerError(Exception):
    """Another server answers at that address."""


def is_ready(base_url: str, api_key: str | None, *, generates: bool, random_seed: int | None) -> bool:
    """Whether the server generates.

    Args:
        base_url: where it is.
        api_key: its key, or None.
        generates: whether to ask for a token of our own too; an embedding model has none to give.
        random_seed: what the server was started with, or None when that is not known.

    Raises:
        StrangerError: the server that answers was started with another one. Two users who start servers at the same
            moment get the same free port, since nothing listens there until the model is loaded.
    """
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    try:
        with httpx.Client(base_url=base_url, headers=headers, timeout=_TOKEN_SECONDS, trust_env=False) as client:
            if not client.get("/health_generate").is_success:
                return False
            if random_seed is not None and not _is_ours(client, random_seed):
                raise StrangerError
            return not generates or _one_token(client)
    except httpx.TransportError:
        return False


def _one_token(client: httpx.Client) -> bool:
    sampling = {"max_new_tokens": 1, "temperature": 0.0, "ignore_eos": True}
    reply = client.post("/generate", json={"text": "1", "sampling_params": sampling})
    if not reply.is_success:
        return False
    meta = _fields(reply).get("meta_info")
    return isinstance(meta, dict) and bool(cast("dict[str, Any]", meta).get("completion_tokens", 0) >= 1)


def _is_ours(client: httpx.Client, random_seed: int) -> bool:
    reply = client.get("/server_info")
    if reply.status_code in {401, 403}:
        return False  # our server would know its own key
    if not reply.is_success:
        return True  # a version that does not tell
    told = _fields(reply)
    return bool(told) and told.get("random_seed") in {None, random_seed}


def _fields(reply: httpx.Response) -> dict[str, Any]:
    """The JSON object of a reply; empty where it is none, so not SGLang's."""
    try:
        fields: object = reply.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
