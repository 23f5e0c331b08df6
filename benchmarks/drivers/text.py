"""Steps that end at a delimiter, in text or in ids: what `expand` gives is None where a step ended the text."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ets_client import AsyncPolicyClient

from . import openai_n
from .plain import Plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from ets_client import Prefix


@dataclass(frozen=True)
class TextShape:
    """A root is expanded ``width`` ways, and on each further level the ``width // fan`` kept nodes ``fan`` ways."""

    trees: int
    width: int
    fan: int
    depth: int
    profile: str
    delimiter: str
    sampling: dict[str, Any]

    @property
    def kept(self) -> int:
        return self.width // self.fan


class Ours:
    def __init__(self, base: str, shape: TextShape) -> None:
        self.client = AsyncPolicyClient(base, shape.profile)

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.__aexit__(*error)

    def root(self, root: Prefix) -> Prefix:
        return root

    async def expand(self, node: Prefix, n: int, **_: bool) -> list[Prefix | None]:
        return [branch.prefix if branch.is_open else None for branch in await self.client.expand(node, n)]


class _ByHand(Plain):
    def __init__(self, base: str, shape: TextShape) -> None:
        self.base, self.text_shape = base, shape

    def child(self, node: Any, reply: dict[str, Any]) -> Any:
        """The node of a reply; None when its step ended the text."""
        reason = reply["meta_info"]["finish_reason"]
        if reason["type"] == "stop" and reason["matched"] != self.text_shape.delimiter:
            return None
        return self.joined(node, reply, at_delimiter=reason["type"] == "stop")

    def joined(self, node: Any, reply: dict[str, Any], *, at_delimiter: bool) -> Any:
        raise NotImplementedError


class LeaderAndBatch(_ByHand):
    """By hand, in ids: one sample computes a cold prefix, then all others go as one batch."""

    def root(self, root: Prefix) -> list[int]:
        return root.token_ids

    def joined(self, node: list[int], reply: dict[str, Any], **_: bool) -> list[int]:
        return node + reply["output_ids"]

    async def expand(self, node: list[int], n: int, *, is_cold: bool) -> list[Any]:
        found: list[Any] = []
        if is_cold:
            found = await self.post({"input_ids": node, "sampling_params": self.text_shape.sampling})
        left = n - len(found)
        found += await self.post(
            {
                "input_ids": [node] * left,
                "rid": [uuid.uuid4().hex for _ in range(left)],
                "sampling_params": [self.text_shape.sampling] * left,
            }
        )
        return [self.child(node, reply) for reply in found]


class TextWithN(_ByHand):
    def root(self, root: Prefix) -> str:
        return root.text

    def joined(self, node: str, reply: dict[str, Any], *, at_delimiter: bool) -> str:
        text: str = node + reply["text"]
        return text + self.text_shape.delimiter if at_delimiter else text

    async def expand(self, node: str, n: int, **_: bool) -> list[Any]:
        replies = await self.post({"text": node, "sampling_params": {**self.text_shape.sampling, "n": n}})
        return [self.child(node, reply) for reply in replies]


class OpenAiWithN(openai_n.OpenAiWithN):
    def root(self, root: Prefix) -> str:
        return root.text

    async def expand(self, node: str, n: int, **_: bool) -> list[str | None]:
        sampling = dict(self.shape.sampling)
        found = await self.client.completions.create(
            model="default", prompt=node, n=n, max_tokens=sampling.pop("max_new_tokens"), **sampling
        )
        return [self._child(node, choice) for choice in found.choices]

    def _child(self, node: str, choice: Any) -> str | None:
        if choice.finish_reason != "stop":
            return node + choice.text
        if choice.matched_stop != self.shape.delimiter:  # SGLang's own field
            return None
        return node + choice.text + self.shape.delimiter


class Frontend:
    """SGLang's frontend as ETS calls it: a program a tree, forks, one request a child, threads for the trees."""

    def __init__(self, base: str, shape: TextShape, threads: int) -> None:
        import sglang as sgl
        from sglang.lang.backend.runtime_endpoint import RuntimeEndpoint

        sgl.set_default_backend(RuntimeEndpoint(base))
        self._sgl, self._shape, self._threads = sgl, shape, threads

    def run(self, roots: list[str], took: Callable[[float, int], None]) -> None:
        """Search all trees.

        Args:
            roots: their texts.
            took: told of every expand its seconds and its samples.
        """
        sgl, shape = self._sgl, self._shape
        sampling = dict(shape.sampling)
        length = sampling.pop("max_new_tokens")

        def expand(state: Any, n: int) -> list[Any]:
            start = time.perf_counter()
            forks = list(state.fork(n))
            for fork in forks:
                fork += sgl.gen("step", max_tokens=length, **sampling)
            reasons = [fork.get_meta_info("step")["finish_reason"] for fork in forks]  # waits for it
            took(time.perf_counter() - start, n)
            children = []
            for fork, reason in zip(forks, reasons, strict=True):
                if reason["type"] == "stop" and reason["matched"] == shape.delimiter:
                    fork += shape.delimiter
                if reason["type"] != "stop" or reason["matched"] == shape.delimiter:
                    children.append(fork)
            return children

        def program(s: Any, root: str) -> None:
            s += root
            level = expand(s, shape.width)[: shape.kept]
            for _ in range(shape.depth - 1):
                level = [children[0] for node in level if (children := expand(node, shape.fan))]

        states = sgl.function(program).run_batch([{"root": text} for text in roots], num_threads=self._threads)
        for state in states:
            if state.error() is not None:
                raise RuntimeError(f"a tree of the frontend failed: {state.error()}")
