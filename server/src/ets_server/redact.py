"""Keep API keys out of what is shown: SGLang writes its arguments, the key among them, into its log. Pure."""

from __future__ import annotations

import re

__all__ = ["redact"]

_KEY = re.compile(  # api_key='…' in 0.5.18's log, 'api_key': '…' in 0.5.23's
    r"""(?P<name>\b(?:admin_)?api_key(?:=|['"]:\s*))(?P<quote>['"])(?:\\.|(?!(?P=quote)).)*(?P=quote)"""
)


def redact(text: str) -> str:
    """The text with every API key replaced."""
    return _KEY.sub(r"\g<name>\g<quote>***\g<quote>", text)
