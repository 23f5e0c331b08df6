"""A server with several data-parallel ranks: a tree stays on one of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import respx

from ets_client import AsyncPolicyClient, SamplingParams
from tests.fakes import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = SamplingParams(max_new_tokens=4)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with respx.mock(base_url="http://server") as mock:
        fake = FakeServer()
        fake.info["dp_size"] = 2
        mock.route().mock(side_effect=fake)
        yield fake


def ranks_of(bodies: list[dict[str, Any]]) -> dict[tuple[int, ...], set[int]]:
    """By the first ids of a request's prompts, where it went."""
    found: dict[tuple[int, ...], set[int]] = {}
    for body in bodies:
        for ids in body["input_ids"]:
            found.setdefault(tuple(ids[:2]), set()).add(body["routed_dp_rank"])
    return found


@pytest.mark.parametrize("plan", ["batch", "server_n"])
async def test_all_requests_of_a_tree_go_to_one_rank_and_trees_to_both(server: FakeServer, plan: Any) -> None:
    async with AsyncPolicyClient("http://server", "tiny", plan=plan) as client:
        for number in range(6):
            root = await client.prefix(f"{number}?" + "x" * 50)
            first = await client.expand(root, 1, STEP)
            await asyncio.gather(*(client.expand(branch, 1, STEP) for branch in first))
            await client.warm(await client.prefix(f"{number}?"))
    found = ranks_of(server.bodies("/generate"))
    assert {rank for ranks in found.values() for rank in ranks} == {0, 1}
    for number in range(6):
        bodies = [body for body in server.bodies("/generate") if body["input_ids"][0][:1] == [ord(str(number))]]
        long = [body for body in bodies if len(body["input_ids"][0]) > 40]
        assert len({body["routed_dp_rank"] for body in long}) == 1


async def test_labels_of_prefixes_on_two_ranks_are_asked_for_in_two_requests(server: FakeServer) -> None:
    async with AsyncPolicyClient("http://server", "tiny") as client:
        prefixes = [await client.prefix(f"{number}?") for number in range(4)]
        connection = client._connection
        assert connection is not None
        together = {connection.labels._requests.together(prefix) for prefix in prefixes}
        assert together == {(True, 0), (True, 1)}


async def test_what_one_rank_holds_is_cold_on_the_other(server: FakeServer) -> None:
    async with AsyncPolicyClient("http://server", "tiny") as client:
        roots = [await client.prefix("x" * 100 + str(number)) for number in range(8)]
        for root in roots:
            await client.expand(root, 1, STEP)
        cache = client._connection.cache if client._connection is not None else None
        assert cache is not None
        assert [cache.cold(root) for root in roots] == [0] * 8
        assert cache.tokens > 2 * 100
        cache.clear()
        assert cache.tokens == 0
    assert server.bodies("/generate")


async def test_a_server_with_one_rank_is_sent_none(server: FakeServer) -> None:
    server.info["dp_size"] = 1
    async with AsyncPolicyClient("http://server", "tiny") as client:
        await client.expand("q", 2, STEP)
    assert not any("routed_dp_rank" in body for body in server.bodies("/generate"))
