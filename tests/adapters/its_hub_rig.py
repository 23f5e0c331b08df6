"""What the tests of its_hub share: questions as it asks them, models that answer, and what a server did."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from its_hub.api import ChatMessage
from its_hub.core.lms.step_generation import StepGeneration

from ets_client import AsyncPolicyClient, Profile, ScoreFailure, load_profile
from ets_client.search.scorers import PathScore, ScoredPath
from ets_client.testing import FakeServer, ScriptedModel, SeededModel
from ets_client.testing.model import Distribution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ets_client.testing import Tokenizer

QUESTION = "How many legs have 3 cats?"
STOP = "\n\n"


def asked(text: str = "", question: str = QUESTION) -> list[ChatMessage]:
    """The question, and what the assistant said so far."""
    messages = [ChatMessage(role="user", content=question)]
    return [*messages, ChatMessage(role="assistant", content=text)] if text else messages


async def by_length(paths: Sequence[ScoredPath]) -> list[PathScore | ScoreFailure]:
    """A score from 0 to 1 that depends on the tokens alone."""
    return [PathScore(1 / (1 + len(path.prefix) % 17)) for path in paths]


def steps(*, keeps_stop: bool, **options: Any) -> StepGeneration:
    return StepGeneration(max_steps=6, step_token=STOP, include_stop_str_in_output=keeps_stop, **options)


def tiny(**changes: Any) -> Profile:
    profile = load_profile("tiny")
    return profile.model_copy(update={"steps": profile.steps.model_copy(update=changes)})


ENDLESS = SeededModel(line_end=0.0, text_end=0.0)
LONG_STEPS = tiny(max_step_tokens=400)  # so that steps end at their delimiters


class Spelling:
    """A model that spells: its tokens are letters, where the tokenizer has one for the syllable."""

    def bind(self, tokenizer: Tokenizer) -> None:
        self._tokens = tuple(tokenizer.encode(text)[0] for text in ("a", "s", STOP))

    def begin(self, prompt: Sequence[int]) -> Spelling:
        return self

    def next(self, output: Sequence[int]) -> Distribution:
        return Distribution(self._tokens, (0.45, 0.44, 0.1), 1e-6)

    def read(self, prompt: Sequence[int], end: int) -> Distribution:
        return self.next(())


def stepwise() -> FakeServer:
    return FakeServer(model=Spelling())


@asynccontextmanager
async def scripted(answers: Any) -> AsyncIterator[tuple[FakeServer, AsyncPolicyClient]]:
    async with (
        FakeServer(model=ScriptedModel(answers)) as running,
        AsyncPolicyClient(running.base_url, "tiny") as opened,
    ):
        yield running, opened


class Counted:
    """What a server did since now."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._counts = dict(server.scheduler.counts)
        self._posts = server.count("/generate")

    def __getitem__(self, name: str) -> int:
        return self._server.scheduler.counts[name] - self._counts.get(name, 0)

    @property
    def posts(self) -> int:
        return self._server.count("/generate") - self._posts
