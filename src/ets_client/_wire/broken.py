"""The one exception of this folder."""

from __future__ import annotations

__all__ = ["BrokenReplyError"]


class BrokenReplyError(Exception):
    """A reply that is not what SGLang sends to this request; the message says where. The engine makes it public."""
