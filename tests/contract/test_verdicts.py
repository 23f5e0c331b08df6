"""The client and the server say the same of 200 random sets of sampling parameters."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest

from ets_client.testing import FakeOptions, FakeServer

from .verdicts import ask_server, draw, is_allowed, is_refused_here

if TYPE_CHECKING:
    from pathlib import Path

    from ets_client.testing import Version

SETS = 200
AT_ONCE = 8


def compare(url: str, seed: int) -> None:
    """Ask both about all sets; deadly ones are refused here and not sent."""
    rng = Random(seed)
    drawn = [draw(rng) for _ in range(SETS)]
    here = [is_refused_here(each) for each in drawn]
    sent = [(each, refused) for each, refused in zip(drawn, here, strict=True) if not each.is_deadly]
    assert [each for each, refused in zip(drawn, here, strict=True) if each.is_deadly and not refused] == []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        there = list(threads.map(lambda pair: ask_server(url, pair[0]), sent))
    different = [
        (each.fields, "refused here" if refused else "accepted here", verdict)
        for (each, refused), verdict in zip(sent, there, strict=True)
        if not is_allowed(each, refused_here=refused, there=verdict)
    ]
    assert different == []
    counts = Counter(there)
    assert counts["accepted"] > SETS / 4
    assert counts["refused"] > SETS / 8


def url_of(endpoint: Path) -> str:
    address = json.loads(endpoint.read_text(encoding="utf-8"))
    return f"http://{address['host']}:{address['port']}"


@pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.23"])
def test_the_fake_server_agrees(version: Version) -> None:
    with FakeServer(FakeOptions(version=version)) as server:
        for seed in range(5):
            compare(server.base_url, seed)
        assert server.died is None


@pytest.mark.live
def test_the_real_server_agrees(live_endpoint: Path) -> None:
    compare(url_of(live_endpoint), 0)


@pytest.mark.live_0_5_23
def test_the_real_server_of_the_other_version_agrees(live_endpoint_0_5_23: Path) -> None:
    compare(url_of(live_endpoint_0_5_23), 0)
