from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.shadow import Reuse
from ets_client._core.shortfall import describe_shortfall, is_large
from tests.fakes import root


@pytest.mark.parametrize(
    ("predicted", "shortfall", "large"),
    [(999, 999, False), (1000, 20, False), (1000, 21, True), (100_000, 2000, False), (100_000, 2001, True)],
)
def test_two_in_a_hundred_are_overlooked_and_so_is_the_beginning(predicted: int, shortfall: int, large: bool) -> None:
    assert is_large(predicted, shortfall) is large


def test_the_message_names_the_first_token_and_shows_text_near_it() -> None:
    path = root([ord(letter) for letter in "the root. "]).child([ord(letter) for letter in "a step"], "a step")
    told = describe_shortfall(path, Reuse(15, 12), 1500, 300)
    assert "computed 300 of 1,500 prompt tokens again" in told
    assert "16 tokens; 15 of them should have been there, and from token 12 on (near 'a step')" in told


@given(st.lists(st.integers(97, 122), max_size=50), st.lists(st.integers(97, 122), max_size=50), st.integers(0, 100))
def test_any_offset_of_any_path_has_some_text(first: list[int], second: list[int], offset: int) -> None:
    path = root(first).child(second, "".join(map(chr, second)))
    assert "near '" in describe_shortfall(path, Reuse(100, offset), 1500, 300)
