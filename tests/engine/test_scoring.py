from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import RequestRejectedError, RewardScore, ScoreFailure, ServerFaultError, Usage
from ets_client._engine.scoring import Scoring
from ets_client._wire.verdict import Verdict
from tests.fakes import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import Prefix
    from ets_client._engine.scoring import Outcome

REFUSED, SILENT = 8, 9  # the first ids of prefixes that get no numbers


async def judge(prefixes: Sequence[Prefix]) -> list[Outcome]:
    assert prefixes
    said: dict[int, Outcome] = {REFUSED: RequestRejectedError("not this one"), SILENT: Verdict(None, Usage())}
    return [said.get(prefix.token_ids[0], Verdict((float(len(prefix)),), Usage(len(prefix)))) for prefix in prefixes]


@given(
    paths=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6)), max_size=8),
    most_tokens=st.sampled_from([1, 3, 5, math.inf]),
)
async def test_every_prefix_has_its_own_score_or_reason(paths: list[tuple[int, int]], most_tokens: float) -> None:
    scoring = Scoring(most_tokens, too_long="it takes at most", missing="sign")
    prefixes = [root([first] * length) for first, length in paths]
    scores = await scoring.scores(prefixes, judge, RewardScore)
    for (first, length), score in zip(paths, scores, strict=True):
        if length > most_tokens:
            assert score == ScoreFailure(f"{length} tokens; it takes at most {most_tokens}")
        elif first in {REFUSED, SILENT}:
            assert score == ScoreFailure("not this one" if first == REFUSED else "the server gave no sign")
        else:
            assert score == RewardScore((float(length),))
            assert isinstance(score, RewardScore)
            assert score.usage == Usage(length)


async def test_a_failure_of_the_judge_is_the_callers() -> None:
    async def broken(prefixes: Sequence[Prefix]) -> list[Outcome]:
        raise ServerFaultError("broken")

    with pytest.raises(ServerFaultError, match="broken"):
        await Scoring(10, too_long="", missing="").scores([root([1])], broken, RewardScore)
