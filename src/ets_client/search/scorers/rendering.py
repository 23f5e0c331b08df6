"""A policy's paths in the words and tokens of a reward model."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from ...prefix import Origin, Prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable
    from typing import Any

    from ...client import AsyncPolicyClient
    from .formats import RewardFormat

__all__ = ["Renderer"]

_REMEMBERED = 20_000  # paths, of about 2.5 KB each; what is forgotten is tokenised again when a child of it comes


class Renderer:
    """Writes each step once. A child's tokens begin with its parent's, so that the server finds those in its cache.

    Tokens are exact as far as the tokenizer lets a text end there: what follows is tokenised together with the end of
    what is there, and the tokens of that end are then taken off.
    """

    def __init__(self, client: AsyncPolicyClient, form: RewardFormat) -> None:
        """Begin.

        Args:
            client: of the reward model's server.
            form: how it wants paths.
        """
        self._client = client
        self._form = form
        self._paths: OrderedDict[Hashable, Prefix] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[Prefix]] = {}
        self._tail_ids: dict[str, list[int]] = {}
        self._tails = (form.first_step.partition("{step}")[2], form.next_step.partition("{step}")[2])

    async def path(self, problem: str, prefix: Prefix) -> Prefix:
        """A path as the reward model reads it.

        Args:
            problem: the question's text.
            prefix: the path on the policy.

        Raises:
            RequestError: the server was asked to tokenise and failed.
        """
        if prefix.parent is None:
            return await self._once((problem,), lambda: self._root(problem))
        parent = await self.path(problem, prefix.parent)
        return await self._once((problem, prefix.fingerprint), lambda: self._child(parent, prefix.step_text))

    async def _once(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Prefix]]) -> Prefix:
        """What was made, or is being made, for this path."""
        known = self._paths.get(key)
        if known is not None:
            self._paths.move_to_end(key)
            return known
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.ensure_future(make())
            task.add_done_callback(lambda made: self._made(key, made))
        return await asyncio.shield(task)  # one search's end must not take it from another

    def _made(self, key: Hashable, made: asyncio.Task[Prefix]) -> None:
        del self._making[key]
        if not made.cancelled() and made.exception() is None:
            self._paths[key] = made.result()
            if len(self._paths) > _REMEMBERED:
                self._paths.popitem(last=False)

    async def _root(self, problem: str) -> Prefix:
        text = self._form.begin.replace("{problem}", problem)
        ids = await self._client.tokenize(text, add_special_tokens=self._form.add_special_tokens)
        return Prefix(ids, text, origin=Origin(self._client.capabilities.tokenizer_path))

    async def _child(self, parent: Prefix, step: str) -> Prefix:
        is_first = parent.parent is None
        form = self._form.first_step if is_first else self._form.next_step
        text = form.replace("{step}", self._form.clean(step))
        before = parent.text if is_first else self._tails[parent.depth > 1]
        special = is_first and self._form.add_special_tokens
        known = list(parent.token_ids) if is_first else await self._tail(before)
        ids = await self._client.tokenize(before + text, add_special_tokens=special)
        if ids[: len(known)] == known:
            return parent.child(ids[len(known) :], text)
        return parent.child(await self._client.tokenize(text), text)

    async def _tail(self, text: str) -> list[int]:
        """The ids of what every step but the first begins behind."""
        known = self._tail_ids.get(text)
        if known is None:
            known = self._tail_ids[text] = await self._client.tokenize(text) if text else []
        return known
