"""What the fake server answers to all cases, as each version."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from ets_client.testing import FakeOptions, FakeServer

from .cases import CASES, LABEL_CASES, LATER_CASES, REWARD_CASES
from .record import record

if TYPE_CHECKING:
    from ets_client.testing import Version

__all__ = ["imitate", "imitate_reward"]


@cache
def imitate(version: Version) -> dict[str, Any]:
    """Send all cases to a fake of one version, set up as the real server that was recorded.

    Args:
        version: SGLang's.
    """
    # 0.5.14 was recorded on a host without a grammar package.
    options = FakeOptions(version=version, health_seconds=0.01)
    if version == "0.5.14":
        options = replace(options, grammar_backend="none")
    with FakeServer(options) as server:
        return record(server.base_url, [*CASES, *LABEL_CASES, *LATER_CASES])


@cache
def imitate_reward(version: Version) -> dict[str, Any]:
    """Send the cases of a reward model to a fake of one version.

    Args:
        version: SGLang's.
    """
    with FakeServer(FakeOptions(version=version, health_seconds=0.01, reward_outputs=1)) as server:
        return record(server.base_url, REWARD_CASES)
