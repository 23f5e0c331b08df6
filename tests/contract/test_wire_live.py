"""The fake server answers as the real server that runs here."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

from .cases import CASES, LABEL_CASES, LATER_CASES, WireCase
from .imitated import imitate
from .record import record
from .shapes import shape_of

if TYPE_CHECKING:
    from pathlib import Path


LIVE_CASES = [*CASES, *LABEL_CASES, *LATER_CASES]


def record_endpoint(endpoint: Path) -> dict[str, Any]:
    """Send all cases to a real server whose cache is empty."""
    address = json.loads(endpoint.read_text(encoding="utf-8"))
    connection = http.client.HTTPConnection(address["host"], address["port"], timeout=60)
    connection.request("POST", "/flush_cache?timeout=30")
    assert connection.getresponse().status == 200
    connection.close()
    return record(f"http://{address['host']}:{address['port']}", LIVE_CASES)


@pytest.fixture(scope="module")
def live_replies(live_endpoint: Path) -> dict[str, Any]:
    return record_endpoint(live_endpoint)


@pytest.fixture(scope="module")
def live_replies_0_5_23(live_endpoint_0_5_23: Path) -> dict[str, Any]:
    return record_endpoint(live_endpoint_0_5_23)


@pytest.mark.live
@pytest.mark.parametrize("case", LIVE_CASES, ids=lambda case: case.section)
def test_the_fake_answers_as_the_live_server(live_replies: dict[str, Any], case: WireCase) -> None:
    assert shape_of(case, imitate("0.5.18")[case.section]) == shape_of(case, live_replies[case.section])


@pytest.mark.live_0_5_23
@pytest.mark.parametrize("case", LIVE_CASES, ids=lambda case: case.section)
def test_the_fake_answers_as_the_live_server_of_the_other_version(
    live_replies_0_5_23: dict[str, Any], case: WireCase
) -> None:
    assert shape_of(case, imitate("0.5.23")[case.section]) == shape_of(case, live_replies_0_5_23[case.section])
