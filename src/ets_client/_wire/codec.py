"""JSON out and in: msgspec, the fastest of those that were measured (``docs/explanation/performance.md``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from .broken import BrokenReplyError

if TYPE_CHECKING:
    from msgspec.json import Decoder

__all__ = ["read_json", "to_json"]

T = TypeVar("T")
to_json = msgspec.json.Encoder().encode


def read_json(decoder: Decoder[T], body: bytes) -> T:
    """Read a body into the decoder's type. Fields that the type does not have are passed over, not built.

    Args:
        decoder: of the type.
        body: JSON.

    Raises:
        BrokenReplyError: it is no JSON, or of another shape; the message says where.
    """
    try:
        return decoder.decode(body)
    except RecursionError:
        raise BrokenReplyError("the body: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what, _, where = str(error).partition(" - at `$")
        raise BrokenReplyError(f"{where.strip('.`') or 'the body'}: {what}") from None
