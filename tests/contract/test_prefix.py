from __future__ import annotations

from typing import TYPE_CHECKING

from ets_client import AsyncPolicyClient, Origin

if TYPE_CHECKING:
    from tests.fakes import FakeServer


class TestPrefix:
    async def test_a_question_is_put_into_the_profiles_format(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="smollm2", check_profile=False) as client:
            root = await client.root("1 + 1")
            assert root.text.startswith("<|im_start|>system\nYou solve")
            assert root.text.endswith("<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\n")
        assert server.bodies("/tokenize")[0]["add_special_tokens"] is False

    async def test_a_chat_is_rendered_by_the_profile(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="smollm2", check_profile=False) as client:
            prefix = await client.prefix(
                [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "It is"}]
            )
        assert prefix.text == "<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\nIt is"

    async def test_a_chat_is_rendered_by_the_server_when_the_profile_says_so(self, server: FakeServer) -> None:
        async with AsyncPolicyClient() as client:
            server.requests.clear()
            prefix = await client.prefix([{"role": "user", "content": "x"}])
            await client.prefix("raw")
        assert prefix.text == "user:x;"
        (chat, raw) = server.bodies("/tokenize")
        assert chat == {"messages": [{"role": "user", "content": "x"}], "continue_final_message": False}
        assert raw == {"prompt": "raw", "add_special_tokens": True}

    async def test_ids_are_taken_as_they_are(self, server: FakeServer, client: AsyncPolicyClient) -> None:
        prefix = await client.prefix((97, 2047, 0))
        assert (prefix.token_ids, prefix.root) == ([97, 2047, 0], prefix)
        assert server.bodies("/tokenize") == []

    async def test_the_origin_names_tokenizer_and_namespace(
        self, server: FakeServer, client: AsyncPolicyClient
    ) -> None:
        assert (await client.prefix("a", namespace="n")).origin == Origin("/models/tok", "n")
