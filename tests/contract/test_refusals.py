from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, InvalidRequestError, Origin, Prefix, SamplingParams

if TYPE_CHECKING:
    from tests.contract.conftest import Call
    from tests.fakes import FakeServer

REFUSED: dict[str, Call] = {
    "no samples": lambda client: client.expand("q", n=0),
    "a negative number of samples": lambda client: client.expand("q", n=-1),
    "too many samples": lambda client: client.expand("q", n=5000),
    "a bool of samples": lambda client: client.expand("q", n=True),
    "an empty text": lambda client: client.expand(""),
    "an empty question": lambda client: client.root(""),
    "no ids": lambda client: client.expand([]),
    "an id outside the vocabulary": lambda client: client.expand([5, 2048]),
    "a negative id": lambda client: client.expand([-1]),
    "a lone surrogate": lambda client: client.expand("\ud800"),
    "bytes": lambda client: client.expand(b"q"),
    "nothing": lambda client: client.prefix(None),  # type: ignore[arg-type]
    "a number for a question": lambda client: client.root(5),  # type: ignore[arg-type]
    "a chat without a chat format": lambda client: client.prefix([{"role": "user", "content": "x"}]),
    "a chat that is none": lambda client: client.prefix([{"role": "user", "content": "x"}, "x"]),  # type: ignore[arg-type]
    "an empty namespace": lambda client: client.prefix("q", namespace=""),
    "a namespace that is no text": lambda client: client.root("q", namespace="\ud800"),
    "sampling that does not fit the client's": lambda client: client.expand(
        "q", sampling=SamplingParams(min_new_tokens=10**6)
    ),
    "a prefix of another tokenizer": lambda client: client.expand(Prefix([1], "", origin=Origin("other"))),
    "a path without room": lambda client: client.expand(
        Prefix([1], "", origin=Origin("/models/tok")).child([1] * 512, "")
    ),
    "a prompt longer than the server takes": lambda client: client.expand(
        Prefix([1] * 2042, "", origin=Origin("/models/tok"))
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
    async def test_what_would_harm_the_server_never_reaches_it(self, server: FakeServer, call: Call) -> None:
        sampling = SamplingParams(max_new_tokens=32)
        async with AsyncPolicyClient(profile="tiny", sampling=sampling if call is CONFLICT else None) as client:
            server.requests.clear()
            with pytest.raises(InvalidRequestError):
                await call(client)
        assert server.requests == []

    async def test_a_text_too_long_is_refused_before_it_is_generated_from(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        with pytest.raises(InvalidRequestError, match="at most 2041"):
            await client.expand("a" * 2042)
        assert server.bodies("/generate") == []


CONFLICT = REFUSED["sampling that does not fit the client's"]
