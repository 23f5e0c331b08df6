"""openai-python's async client: text prompts and ``n=``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from .shape import Shape


class OpenAiWithN:
    takes_text = True

    def __init__(self, base: str, shape: Shape) -> None:
        self.base, self.shape = base, shape

    async def __aenter__(self) -> Self:
        import openai

        self.client = openai.AsyncOpenAI(base_url=self.base + "/v1", api_key="none", timeout=600, max_retries=0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def expand(self, text: str, n: int, *, lengths: list[int], **_: bool) -> list[str]:
        found = await self.client.completions.create(
            model="default", prompt=text, n=n, max_tokens=lengths[0], temperature=1.0, extra_body={"ignore_eos": True}
        )
        return [text + choice.text for choice in found.choices]
