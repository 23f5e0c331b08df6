"""The fake server answers as real servers of three versions did: 0.5.14 on an H100, 0.5.18 and 0.5.23 on a CPU."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .cases import CASES, LABEL_CASES, LATER_CASES, WireCase
from .imitated import imitate
from .shapes import TYPES_ONLY, between_of, shape_of

if TYPE_CHECKING:
    from ets_client.testing import Version

VERSIONS: tuple[Version, ...] = ("0.5.14", "0.5.18", "0.5.23")
LATER_VERSIONS: tuple[Version, ...] = ("0.5.18", "0.5.23")
FOLDER = Path(__file__).parent / "recorded"


@cache
def recorded(version: Version, prefix: str = "") -> dict[str, Any]:
    """Replies of a real server, by section."""
    found: dict[str, Any] = json.loads((FOLDER / f"{prefix}{version}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.section)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_answers_as_the_recorded_server(version: Version, case: WireCase) -> None:
    assert shape_of(case, imitate(version)[case.section]) == shape_of(case, recorded(version)[case.section])


@pytest.mark.parametrize("case", [*LABEL_CASES, *LATER_CASES], ids=lambda case: case.section)
@pytest.mark.parametrize("version", LATER_VERSIONS)
def test_the_fake_answers_as_the_server_that_was_recorded_later(version: Version, case: WireCase) -> None:
    assert shape_of(case, imitate(version)[case.section]) == shape_of(case, recorded(version, "later-")[case.section])


@pytest.mark.parametrize("version", VERSIONS)
def test_events_between_first_and_last_have_the_same_keys(version: Version) -> None:
    fake, real = (between_of(replies["stream: frames"]) for replies in (imitate(version), recorded(version)))
    assert fake
    assert fake == real


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recording_holds_all_cases_and_no_folder_of_a_machine(version: Version) -> None:
    assert list(recorded(version)) == [case.section for case in CASES]
    assert json.loads(recorded(version)["endpoint: /server_info"]["body"])["version"] == version
    assert_tells_no_machine(recorded(version))


@pytest.mark.parametrize("version", LATER_VERSIONS)
def test_a_later_recording_holds_all_later_cases_and_no_folder_of_a_machine(version: Version) -> None:
    assert list(recorded(version, "later-")) == [case.section for case in (*LABEL_CASES, *LATER_CASES)]
    assert_tells_no_machine(recorded(version, "later-"))


def assert_tells_no_machine(replies: dict[str, Any]) -> None:
    text = json.dumps(replies)
    assert not re.search(r"/(root|home|tmp|work|mnt|opt|usr|scratch|data)/|\d+\.\d+\.\d+\.\d+", text)


def test_sections_are_unique_and_every_exception_names_one() -> None:
    sections = [case.section for case in (*CASES, *LABEL_CASES, *LATER_CASES)]
    assert len(set(sections)) == len(sections)
    assert TYPES_ONLY.keys() <= set(sections)


def test_a_shape_tells_apart_what_clients_rely_on() -> None:
    case = next(case for case in CASES if case.section == "ending: length")
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
