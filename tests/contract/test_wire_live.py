"""The fake server answers as the real server that runs here."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

from .cases import ALL_CASES, WireCase
from .imitated import imitate
from .record import record
from .shapes import merged_like, shape_of

if TYPE_CHECKING:
    from pathlib import Path


def record_endpoint(endpoint: Path) -> dict[str, Any]:
    """Send all cases to a real server whose cache is empty."""
    address = json.loads(endpoint.read_text(encoding="utf-8"))
    connection = http.client.HTTPConnection(address["host"], address["port"], timeout=60)
    connection.request("POST", "/flush_cache?timeout=30")
    assert connection.getresponse().status == 200
    connection.close()
    return record(f"http://{address['host']}:{address['port']}", ALL_CASES)


@pytest.fixture(scope="module")
def live_replies(live_endpoint: Path) -> dict[str, Any]:
    return record_endpoint(live_endpoint)


@pytest.fixture(scope="module")
def live_replies_0_5_23(live_endpoint_0_5_23: Path) -> dict[str, Any]:
    return record_endpoint(live_endpoint_0_5_23)


def check(case: WireCase, fake: dict[str, Any], real: dict[str, Any]) -> None:
    """Compare; other work on this machine may make the real server merge all events of a sample."""
    shape = shape_of(case, real[case.section])
    assert merged_like(shape_of(case, fake[case.section]), shape) == shape


@pytest.mark.live
@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.section)
def test_the_fake_answers_as_the_live_server(live_replies: dict[str, Any], case: WireCase) -> None:
    check(case, imitate("0.5.18"), live_replies)


@pytest.mark.live_0_5_23
@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.section)
def test_the_fake_answers_as_the_live_server_of_the_other_version(
    live_replies_0_5_23: dict[str, Any], case: WireCase
) -> None:
    check(case, imitate("0.5.23"), live_replies_0_5_23)
