"""The fake server answers as real servers of three versions did: 0.5.14 on an H100, 0.5.18 and 0.5.23 on a CPU."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .cases import ALL_CASES, WireCase
from .imitated import imitate
from .shapes import TYPES_ONLY, between_of, merged_like, shape_of

if TYPE_CHECKING:
    from ets_client.testing import Version

VERSIONS: tuple[Version, ...] = ("0.5.14", "0.5.18", "0.5.23")
# 0.5.14 was recorded on a server with a context of 8,192 tokens, to which these prompts for one of 2,048 are short.
OTHER_CONTEXT = frozenset(
    {
        "later: a prompt as long as the context",
        "later: a prompt and an output longer than the context",
        "later: a prompt longer than the longest input",
        "later: an output that is cut to the room",
        "later: a prompt too long in a stream",
    }
)
RECORDED = {
    version: [case for case in ALL_CASES if version != "0.5.14" or case.section not in OTHER_CONTEXT]
    for version in VERSIONS
}
PAIRS = [
    pytest.param(version, case, id=f"{version}-{case.section}") for version in VERSIONS for case in RECORDED[version]
]
FOLDER = Path(__file__).parent / "recorded"


@cache
def recorded(version: Version) -> dict[str, Any]:
    """Replies of a real server, by section."""
    found: dict[str, Any] = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(("version", "case"), PAIRS)
def test_the_fake_answers_as_the_recorded_server(version: Version, case: WireCase) -> None:
    assert shape_of(case, imitate(version)[case.section]) == shape_of(case, recorded(version)[case.section])


@pytest.mark.parametrize("version", VERSIONS)
def test_events_between_first_and_last_have_the_same_keys(version: Version) -> None:
    fake, real = (between_of(replies["stream: frames"]) for replies in (imitate(version), recorded(version)))
    assert fake
    assert fake == real


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recording_holds_all_cases_and_no_folder_of_a_machine(version: Version) -> None:
    assert list(recorded(version)) == [case.section for case in RECORDED[version]]
    assert json.loads(recorded(version)["endpoint: /server_info"]["body"])["version"] == version
    assert_tells_no_machine(recorded(version))


def assert_tells_no_machine(replies: dict[str, Any]) -> None:
    text = json.dumps(replies)
    assert not re.search(r"/(root|home|tmp|work|mnt|opt|usr|scratch|data)/|\d+\.\d+\.\d+\.\d+", text)


def test_sections_are_unique_and_every_exception_names_one() -> None:
    sections = [case.section for case in ALL_CASES]
    assert len(set(sections)) == len(sections)
    assert TYPES_ONLY.keys() <= set(sections)


def test_a_shape_tells_apart_what_clients_rely_on() -> None:
    case = next(case for case in ALL_CASES if case.section == "ending: length")
    reply = recorded("0.5.18")[case.section]
    shape = shape_of(case, reply)
    for change in (
        {"status": 500},
        {"content_type": "text/plain"},
        {"is_cut": True},
        {"body": reply["body"].replace('"length":3', '"length":4')},
        {"body": reply["body"].replace('"prompt_tokens":6', '"prompt_tokens":7')},
        {"body": reply["body"].replace('"output_ids":[', '"output_ids":[40,')},
        {"body": reply["body"].replace('"cached_tokens":5', '"cached_tokens":4')},
        {"body": reply["body"].replace('"output_ids"', '"outputs"')},
        {"body": reply["body"].replace('"e2e_latency":', '"e2e_latency":1,"more":')},
    ):
        assert shape_of(case, {**reply, **change}) != shape
    assert shape_of(case, {**reply, "body": reply["body"].replace('"text":"G', '"text":"H')}) == shape


def test_a_stream_may_be_merged_but_not_lose_tokens() -> None:
    case = next(case for case in ALL_CASES if case.section == "stream: frames")
    reply = recorded("0.5.18")[case.section]
    shape = shape_of(case, reply)
    frames = reply["body"].split("\n\n")
    assert len(frames) == 4 + 2

    def of(*places: int) -> dict[str, Any]:
        return shape_of(case, {**reply, "body": "\n\n".join(frames[place] for place in places)})

    assert of(0, 1, 2, 3, 4, 5) == of(0, 3, 4, 5) == shape
    whole = of(3, 4, 5)
    assert whole != shape
    assert merged_like(shape, whole) == whole
    for wrong in (of(0, 1, 2, 3), of(0, 2, 1, 3, 4, 5), of(0, 0, 3, 4, 5), of(0, 1, 2, 4, 5)):
        assert merged_like(shape, wrong) != wrong
