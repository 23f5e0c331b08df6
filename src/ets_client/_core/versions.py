"""Which versions of SGLang this client was tried with."""

from __future__ import annotations

import re

__all__ = ["takes_chosen_ids", "untried"]

_OLDEST, _NEWEST = (0, 5, 14), (0, 5, 23)
_CHOSEN_IDS = (0, 5, 21)
_LACKING = "; 0.5.10 drops namespaces silently and takes no chat in the served model's own format"  # read in its source


def untried(version: str) -> str | None:
    """What a user should know of a version that was not tried.

    Args:
        version: as the server tells it.

    Returns:
        One line, or None for a version from 0.5.14 to 0.5.23, all of whose dialect is tested.
    """
    number = _number(version)
    if number is not None and _OLDEST <= number <= _NEWEST:
        return None
    oldest, newest = (".".join(map(str, edge)) for edge in (_OLDEST, _NEWEST))
    told = f"SGLang {version}" if version else "a server that tells no version"
    warning = f"{told} was not tried with this client, which was tested with SGLang {oldest} to {newest}"
    return warning + _LACKING if number is not None and number < _OLDEST else warning


def takes_chosen_ids(version: str) -> bool:
    """Whether a server survives samples with ``token_ids_logprob`` beside samples without.

    Up to 0.5.20 it dies in the first step, of prefill or decode, that computes both (``'list' object has no attribute
    'tolist'``, SGLang's issue 34719). Samples of others, the server's own health check among them, cannot be made to
    have some, so that nobody can use it safely.

    Args:
        version: as the server tells it.
    """
    number = _number(version)
    return number is not None and number >= _CHOSEN_IDS


def _number(version: str) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else None
