from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import Prefix, RequestRejectedError, ServerFaultError
from ets_client._engine.bisect import outcomes_of
from tests.fakes import root

if TYPE_CHECKING:
    from collections.abc import Sequence


class Server:
    """Refuses every request with a bad prompt in it."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.requests: list[list[int]] = []

    async def ask(self, prefixes: Sequence[Prefix]) -> list[int]:
        ids = [prefix.token_ids[0] for prefix in prefixes]
        self.requests.append(ids)
        if self.bad & set(ids):
            raise RequestRejectedError("too long")
        return ids


@given(size=st.integers(1, 20), bad=st.sets(st.integers(0, 19)), keys=st.integers(1, 3))
async def test_good_prompts_are_answered_whatever_stands_beside_them(size: int, bad: set[int], keys: int) -> None:
    prefixes, server = [root([token]) for token in range(size)], Server(bad)
    if bad >= set(range(size)):
        with pytest.raises(RequestRejectedError):
            await outcomes_of(prefixes, lambda prefix: prefix.token_ids[0] % keys, server.ask)
        return
    outcomes = await outcomes_of(prefixes, lambda prefix: prefix.token_ids[0] % keys, server.ask)
    for token, outcome in enumerate(outcomes):
        assert isinstance(outcome, RequestRejectedError) if token in bad else outcome == token


async def test_what_is_not_refused_is_one_request_for_each_key() -> None:
    server = Server(set())
    await outcomes_of([root([token]) for token in range(6)], lambda prefix: prefix.token_ids[0] % 2, server.ask)
    assert sorted(server.requests) == [[0, 2, 4], [1, 3, 5]]


async def test_a_failure_that_is_no_refusal_is_not_divided() -> None:
    asked = 0

    async def broken(prefixes: Sequence[Prefix]) -> list[int]:
        nonlocal asked
        asked += 1
        raise ServerFaultError("broken")

    with pytest.raises(ServerFaultError):
        await outcomes_of([root([1]), root([2])], lambda _: None, broken)
    assert asked == 1
