"""Pages that need nothing but themselves. All text is a model's or a user's: none of it can become markup. Pure."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..methods.view import JsonValue

__all__ = ["as_script_data", "counted", "page", "text"]

_SURROGATES = re.compile("[\ud800-\udfff]")


def text(value: object) -> str:
    """A text, safe in an element and in a quoted attribute."""
    return html.escape(_SURROGATES.sub("\ufffd", str(value)))


def as_script_data(value: JsonValue) -> str:
    """JSON that can stand in a ``<script>``: without ``<``, so neither ``</script>`` nor ``<!--`` is in it."""
    plain = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        plain = plain.replace(mark, f"\\u{ord(mark):04x}")
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", plain)


def page(title: str, body: str, *, styles: Sequence[str], scripts: Sequence[str], data: Any = None) -> str:
    """A whole page. Its own policy allows no source from anywhere and no script but ours, known by its hash.

    Args:
        title: plain text.
        body: markup, made with :func:`text`.
        styles: names of files in ``assets``.
        scripts: likewise; they run as one, in this order, and find the data in the element ``data``.
        data: for the scripts.
    """
    style = "\n".join(map(_asset, styles))
    script = "(() => {\n'use strict';\n" + "\n".join(map(_asset, scripts)) + "\n})();"
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{as_script_data(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def counted(number: int, noun: str) -> str:
    """``1 step``, ``1,200 steps``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _finite(value: JsonValue) -> JsonValue:
    """The same without numbers that JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(each) for each in value]
    return value


@cache
def _asset(name: str) -> str:
    return files("ets_client.search.pages").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")
