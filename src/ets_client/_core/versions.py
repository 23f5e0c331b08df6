"""Which versions of SGLang this client was tried with."""

from __future__ import annotations

import re

__all__ = ["untried"]

_OLDEST, _NEWEST = (0, 5, 14), (0, 5, 23)


def untried(version: str) -> str | None:
    """What a user should know of a version that was not tried.

    Args:
        version: as the server tells it.

    Returns:
        One line, or None for a version from 0.5.14 to 0.5.23, all of whose dialect is tested.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    number = tuple(map(int, found.groups())) if found else None
    if number is not None and _OLDEST <= number <= _NEWEST:
        return None
    oldest, newest = (".".join(map(str, edge)) for edge in (_OLDEST, _NEWEST))
    told = f"SGLang {version}" if version else "a server that tells no version"
    return f"{told} was not tried with this client, which was tested with SGLang {oldest} to {newest}"
