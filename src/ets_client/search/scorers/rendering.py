"""A policy's paths in the words and tokens of a reward model."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from ...prefix import Origin, Prefix

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import TypeAlias

    from ...client import AsyncPolicyClient
    from .formats import RewardFormat

    Key: TypeAlias = tuple[str, Hashable]  # a problem, and the fingerprint of a path of steps behind it
    Batch: TypeAlias = asyncio.Task[dict[Key, Prefix]]

__all__ = ["Renderer"]

_REMEMBERED = 20_000  # paths, of about 2.5 KB each; what is forgotten is tokenised again when a child of it comes


class Renderer:
    """Writes each step once. A child's tokens begin with its parent's, so that the server finds those in its cache.

    Tokens are exact as far as the tokenizer lets a text end there: what follows is tokenised together with the end of
    what is there, and the tokens of that end are then taken off. So the text of a step does not depend on its parent's
    tokens, and all that is new of many paths is tokenised at once.
    """

    def __init__(self, client: AsyncPolicyClient, form: RewardFormat) -> None:
        """Begin.

        Args:
            client: of the reward model's server.
            form: how it wants paths.
        """
        self._client = client
        self._form = form
        self._paths: OrderedDict[Key, Prefix] = OrderedDict()
        self._making: dict[Key, Batch] = {}
        self._end_ids: dict[str, list[int]] = {}  # of what a step begins behind
        self._ends = (form.first_step.partition("{step}")[2], form.next_step.partition("{step}")[2])

    async def paths(self, wanted: Sequence[tuple[str, Prefix]]) -> list[Prefix]:
        """Paths as the reward model reads them.

        Args:
            wanted: of each the question's text and the path on the policy.

        Raises:
            RequestError: the server was asked to tokenise and failed.
        """
        new: dict[Key, Prefix] = {}
        known: dict[Key, Prefix | Batch] = {}  # held here, since what is remembered may be forgotten meanwhile
        for problem, prefix in wanted:
            node: Prefix | None = prefix
            while node is not None and (key := _key(problem, node)) not in new and key not in known:
                if (found := self._known(key)) is None:
                    new[key] = node
                    node = node.parent
                else:
                    known[key] = found
        if new:
            task = asyncio.ensure_future(self._make(new, known))
            task.add_done_callback(partial(self._made, tuple(new)))
            known = known | dict.fromkeys(new, task)
            self._making.update(dict.fromkeys(new, task))
        return [await _settled(key, known[key]) for key in (_key(*each) for each in wanted)]

    def _known(self, key: Key) -> Prefix | Batch | None:
        """What was made, or is being made, for this path."""
        known = self._paths.get(key)
        if known is None:
            return self._making.get(key)
        self._paths.move_to_end(key)
        return known

    def _made(self, keys: Sequence[Key], made: Batch) -> None:
        for key in keys:
            del self._making[key]
        if not made.cancelled() and made.exception() is None:
            self._paths.update(made.result())
            while len(self._paths) > _REMEMBERED:
                self._paths.popitem(last=False)

    async def _make(self, new: Mapping[Key, Prefix], known: Mapping[Key, Prefix | Batch]) -> dict[Key, Prefix]:
        depths = {key: node.depth for key, node in new.items()}
        keys = sorted(new, key=depths.__getitem__)
        behind = {key: self._behind(key[0], depths[key]) for key in keys}
        texts = {key: self._text(key[0], new[key], depths[key]) for key in keys}
        ids = await self._tokenised(keys, depths, behind, texts)
        made: dict[Key, Prefix] = {}
        for key in keys:
            parent = new[key].parent
            if parent is None:
                origin = Origin(self._client.capabilities.tokenizer_path)
                made[key] = Prefix(ids[key], texts[key], origin=origin)
                continue
            above = _key(key[0], parent)
            rendered = made[above] if above in made else await _settled(above, known[above])
            head = self._end_ids.get(behind[key], [])
            if ids[key][: len(head)] == head:
                made[key] = rendered.child(ids[key][len(head) :], texts[key])
            else:
                made[key] = rendered.child(await self._client.tokenize(texts[key]), texts[key])
        return made

    async def _tokenised(
        self, keys: Sequence[Key], depths: Mapping[Key, int], behind: Mapping[Key, str], texts: Mapping[Key, str]
    ) -> dict[Key, list[int]]:
        """The ids of each text and what is behind it; what was never behind a text before is tokenised alone, too."""
        ids: dict[Key, list[int]] = {}
        steps = keys
        if self._form.add_special_tokens:
            questions = [key for key in keys if depths[key] == 0]
            steps = [key for key in keys if depths[key] > 0]
            found = await self._client.tokenize_each([texts[key] for key in questions], add_special_tokens=True)
            ids.update(zip(questions, found, strict=True))
        ends = [end for end in dict.fromkeys(behind.values()) if end and end not in self._end_ids]
        found = await self._client.tokenize_each([*(behind[key] + texts[key] for key in steps), *ends])
        ids.update(zip(steps, found, strict=False))
        self._end_ids.update(zip(ends, found[len(steps) :], strict=True))
        return ids

    def _text(self, problem: str, node: Prefix, depth: int) -> str:
        """What this step, or the question, adds to a path's text."""
        if depth == 0:
            return self._text_of_question(problem)
        form = self._form.first_step if depth == 1 else self._form.next_step
        return form.replace("{step}", self._form.clean(node.step_text))

    def _behind(self, problem: str, depth: int) -> str:
        """The text together with which a step is tokenised."""
        if depth == 0:
            return ""
        # Of a question the last word: all of it took four times as long as the step (60 numbers, a step of 48 tokens).
        return _last_word(self._text_of_question(problem)) if depth == 1 else self._ends[depth > 2]

    def _text_of_question(self, problem: str) -> str:
        return self._form.begin.replace("{problem}", problem)


def _last_word(text: str) -> str:
    """The last word and the white space behind it; of a text without words all of it."""
    words = text.rsplit(maxsplit=1)
    return text[text.rindex(words[-1]) :] if words else text


def _key(problem: str, prefix: Prefix) -> Key:
    return problem, None if prefix.parent is None else prefix.fingerprint


async def _settled(key: Key, found: Prefix | Batch) -> Prefix:
    if isinstance(found, Prefix):
        return found
    return (await asyncio.shield(found))[key]  # one search's end must not take it from another
