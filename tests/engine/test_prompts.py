"""What a caller gives for a prompt is named as the call names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ets_client import AsyncPolicyClient, InvalidRequestError
from ets_client.testing import FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def client() -> AsyncIterator[AsyncPolicyClient]:
    async with FakeServer() as server, AsyncPolicyClient(server.base_url, "tiny") as opened:
        yield opened


async def test_an_empty_question_and_an_empty_prefix_are_named_as_such(client: AsyncPolicyClient) -> None:
    with pytest.raises(InvalidRequestError, match=r"^question = ''"):
        await client.root("")
    with pytest.raises(InvalidRequestError, match=r"^prefix = ''"):
        await client.expand("", n=2)


async def test_an_expansion_in_place_of_a_branch_is_told_how_to_go_on(client: AsyncPolicyClient) -> None:
    expansion: Any = await client.expand("Step one", n=2)
    with pytest.raises(InvalidRequestError, match=r"one of its branches, expansion\[0\] for example$"):
        await client.expand(expansion, n=2)


async def test_something_else_is_told_what_can_be_expanded(client: AsyncPolicyClient) -> None:
    number: Any = 7
    with pytest.raises(InvalidRequestError, match=r": a prefix, a branch, text, chat messages or token ids$"):
        await client.expand(number, n=2)
