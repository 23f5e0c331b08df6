"""The fake server answers as real servers of a reward model: recorded ones, and the one that runs here."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .cases import REWARD_CASES, WireCase
from .imitated import imitate_reward
from .record import record
from .shapes import shape_of

if TYPE_CHECKING:
    from ets_client.testing import Version

VERSIONS: tuple[Version, ...] = ("0.5.18", "0.5.23")
FOLDER = Path(__file__).parent / "recorded"


@cache
def recorded(version: Version) -> dict[str, Any]:
    """Replies of a real server, by section."""
    found: dict[str, Any] = json.loads((FOLDER / f"reward-{version}.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def live_replies(live_reward_endpoint: Path) -> dict[str, Any]:
    address = json.loads(live_reward_endpoint.read_text(encoding="utf-8"))
    return record(f"http://{address['host']}:{address['port']}", REWARD_CASES)


@pytest.mark.parametrize("case", REWARD_CASES, ids=lambda case: case.section)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_answers_as_the_recorded_server(version: Version, case: WireCase) -> None:
    assert shape_of(case, imitate_reward(version)[case.section]) == shape_of(case, recorded(version)[case.section])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recording_holds_all_cases_and_no_folder_of_a_machine(version: Version) -> None:
    assert list(recorded(version)) == [case.section for case in REWARD_CASES]
    assert not re.search(
        r"/(root|home|tmp|work|mnt|opt|usr|scratch|data)/|\d+\.\d+\.\d+\.\d+", json.dumps(recorded(version))
    )


@pytest.mark.live
@pytest.mark.parametrize("case", REWARD_CASES, ids=lambda case: case.section)
def test_the_fake_answers_as_the_live_server(live_replies: dict[str, Any], case: WireCase) -> None:
    assert shape_of(case, imitate_reward("0.5.18")[case.section]) == shape_of(case, live_replies[case.section])
