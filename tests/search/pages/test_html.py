"""Markup from texts that nobody checked."""

from __future__ import annotations

import base64
import hashlib
import html as standard
import json
import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ets_client.search.pages.html import as_script_data, counted, page, text

if TYPE_CHECKING:
    from ets_client.search.methods import JsonValue

NASTY = ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", "\x00\x1b", "\ud800", "a&b\"c'd"]
TEXT = st.text() | st.sampled_from(NASTY)
NUMBER = st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXT, each, max_size=3),
    max_leaves=6,
)


@given(JSON)
def test_data_in_a_script_is_the_same_data_and_can_end_no_script(value: JsonValue) -> None:
    written = as_script_data(value)
    assert json.loads(written) == value
    assert not set("<>&\u2028\u2029") & set(written)
    written.encode()  # no lone surrogate


def test_numbers_that_json_has_not_are_null() -> None:
    assert json.loads(as_script_data({"a": [float("nan"), float("inf"), 1.5], "b": (1,)})) == {
        "a": [None, None, 1.5],
        "b": [1],
    }


@given(TEXT)
def test_a_text_is_no_markup(value: str) -> None:
    written = text(value)
    assert not set("<>\"'") & set(written)
    assert standard.unescape(written) == re.sub("[\ud800-\udfff]", "\ufffd", value)
    written.encode()


def test_a_page_has_a_policy_that_knows_its_own_style_and_script_alone() -> None:
    made = page("a < b", "<p>hello</p>", styles=("base.css",), scripts=("theme.js",), data={"x": "</script>"})
    assert "<title>a &lt; b</title>" in made
    policy = standard.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', made)[0])
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        source = re.findall(rf"<{tag}>(.*?)</{tag}>", made, re.DOTALL)[0]
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert made.count("</script>") == 2


def test_nouns_are_counted() -> None:
    assert (counted(1, "step"), counted(1200, "step")) == ("1 step", "1,200 steps")
