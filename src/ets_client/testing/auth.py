"""Which key a route needs. Source: ``utils/auth.py``. Pure."""

from __future__ import annotations

import hmac

__all__ = ["is_allowed"]

_ADMIN = frozenset(
    {"/flush_cache", "/abort_request", "/pause_generation", "/continue_generation", "/update_weight_version"}
)


def is_allowed(path: str, authorization: str, *, api_key: str | None, admin_key: str | None, has_ready: bool) -> bool:
    """Whether a request may pass.

    Args:
        path: the route.
        authorization: the header, or an empty text.
        api_key: the server's key, or None.
        admin_key: its key for the routes that change something, or None.
        has_ready: ``/ready`` is there, and open.
    """
    if api_key is None and admin_key is None:
        return True
    if path.startswith(("/health", "/metrics")) or (has_ready and path == "/ready"):
        return True
    needed = (admin_key or api_key) if path in _ADMIN else api_key
    if not needed:
        return True
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), needed.encode())
