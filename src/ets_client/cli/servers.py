"""Clients of the servers that options name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import AsyncPolicyClient

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HERE", "client_of"]

HERE = "http://127.0.0.1:30000"


def client_of(url: str | None, endpoint: Path | None, profile: Any, **options: Any) -> AsyncPolicyClient:
    """The client of a server at an address, or of the one that an endpoint file names.

    Args:
        url: the address; None for SGLang's default one.
        endpoint: the file, which counts when it is given.
        profile: as for the class.
        options: as for the class.

    Raises:
        ConfigurationError: the file or the profile cannot be used.
    """
    if endpoint is None:
        return AsyncPolicyClient(url or HERE, profile, **options)
    return AsyncPolicyClient.from_endpoint(endpoint, profile, **options)
