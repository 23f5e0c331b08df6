"""Texts find the tokens that they were written with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ets_client import Branch, EndReason, Usage
from ets_client.adapters.its_hub.text_paths import KnownPath, TextPaths
from tests.fakes import root

ASKED = (("user", "Why?"),)
OTHER = (("user", "Who?"),)


def path(text: str, end: EndReason = EndReason.DELIMITER, stops: tuple[str, ...] = ("\n\n",)) -> KnownPath:
    ids = tuple(ord(character) for character in text) + ((1,) if end is EndReason.EOS else ())
    prefix = root([5, 6]).child(ids, text)
    return KnownPath(prefix, text, Branch(text, ids, prefix, end, None, "", Usage(), rid=""), stops)


def test_a_path_is_found_by_each_of_its_texts_in_its_conversation_alone() -> None:
    paths, known = TextPaths(10), path("ab\n\n")
    paths.add(ASKED, known, "ab", "ab\n\n")
    assert paths.find(ASKED, "ab") is paths.find(ASKED, "ab\n\n") is known
    assert paths.find(ASKED, "a") is None
    assert paths.find(OTHER, "ab") is None
    assert paths.longest(OTHER, "ab") is None


def test_only_a_path_whose_whole_text_begins_the_asked_one_is_gone_on_with() -> None:
    paths, short, cut = TextPaths(10), path("a"), path("ab\n\n")
    paths.add(ASKED, short, "a")
    paths.add(ASKED, cut, "ab", "ab\n\n")
    assert paths.longest(ASKED, "abc") is short  # "ab" is the other one without its last token
    assert paths.longest(ASKED, "ab\n\nc") is cut
    assert paths.longest(ASKED, "b") is None


def test_what_is_written_behind_an_ended_path_takes_the_place_of_its_end() -> None:
    ended = path("ab", EndReason.EOS)
    assert ended.is_ended
    on = ended.written_on([99], "c")
    assert (on.text, on.prefix.token_ids, on.prefix.text[-3:]) == ("abc", [5, 6, 97, 98, 99], "abc")
    assert not on.is_ended
    silent = path("", EndReason.EOS).written_on([99], "c")
    assert silent.prefix.token_ids == [5, 6, 99]
    assert path("ab").written_on([99], "c").prefix.token_ids == [5, 6, 97, 98, 99]
    assert KnownPath(root([5, 6]), "").written_on([99], "c").prefix.token_ids == [5, 6, 99]


def test_stops_and_white_space_say_nothing() -> None:
    ended = path("ab", EndReason.EOS, stops=("## Step",))
    assert ended.is_only_closed_by("## Step## Step\n")
    assert ended.is_only_closed_by("")
    assert not ended.is_only_closed_by("## Step 2")


@given(st.lists(st.tuples(st.sampled_from([ASKED, OTHER]), st.text("ab", max_size=4)), max_size=60))
def test_as_many_texts_are_kept_as_were_said_and_the_last_used_stay(
    added: list[tuple[tuple[tuple[str, str]], str]],
) -> None:
    paths = TextPaths(5)
    for conversation, text in added:
        known = path(text)
        paths.add(conversation, known, text)
        assert paths.find(conversation, text) is known
        assert len(paths) <= 5
    everything = {(conversation, text) for conversation, text in added}
    kept = {each for each in everything if paths.find(*each) is not None}
    assert len(paths) == len(kept)
    assert len(kept) == min(5, len(everything))
