"""Keep API keys out of what is shown: SGLang writes its arguments, the key among them, into its log. Pure."""

from __future__ import annotations

import re

__all__ = ["redact"]

_KEY = re.compile(r"""(?P<name>\b(?:admin_)?api_key=)(?P<quote>['"]).*?(?P=quote)""")


def redact(text: str) -> str:
    """The text with every API key replaced."""
    return _KEY.sub(r"\g<name>\g<quote>***\g<quote>", text)
