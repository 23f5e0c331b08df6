"""Scores of a reward model that SGLang serves, on a server of its own."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

from ..._together import together
from ...client import AsyncPolicyClient
from ...errors import ConfigurationError
from ...profiles.schema import LabelScoring, MeanHeadScoring
from ...scores import RewardScore, ScoreFailure
from .formats import RewardFormat, list_reward_formats, load_reward_format
from .rendering import Renderer
from .scorer import PathScore, Scorer

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from ...prefix import Prefix
    from .scorer import ScoredPath

__all__ = ["RewardServer"]

_REMEMBERED = 20_000  # paths, of 160 bytes each


class RewardServer(Scorer):
    """Scores steps by a process reward model on a second server.

    Its tokenizer may be another than the policy's: paths are written in the texts of their steps. A path's tokens only
    grow, so that a step is computed once: of a step of k tokens the server prefills k.

    Args:
        client: of the reward model's server.
        form: how the model wants paths and how it answers: a :class:`RewardFormat`, the name of one
            (:func:`list_reward_formats`) or its YAML file; None takes the one that belongs to the client's profile.

    Raises:
        ConfigurationError: nobody knows how to read this model; the message says why, and what to do.
    """

    def __init__(self, client: AsyncPolicyClient, form: RewardFormat | str | os.PathLike[str] | None = None) -> None:
        if not isinstance(cast("object", client), AsyncPolicyClient):
            raise ConfigurationError(f"client = {client!r}: an open AsyncPolicyClient of the reward model's server")
        self.client = client
        self.form = _format_of(client) if form is None else load_reward_format(form)
        info = client.capabilities
        if self.form.reads == "reward_head" and not info.has_reward_head:
            raise ConfigurationError(
                f"the format {self.form.name!r} reads a reward head, but {info.model_path} has none: serve it as such "
                "(`ets-server up … -- --is-embedding`), or choose a format that reads label probabilities"
            )
        if self.form.reads == "label_probs" and not info.is_generation:
            raise ConfigurationError(
                f"the format {self.form.name!r} reads probabilities of tokens, but the server of {info.model_path} "
                "generates none: choose the format 'reward-head'"
            )
        self._renderer = Renderer(client, self.form)
        self._computed: set[tuple[str | None, int, int]] = set()  # fingerprints of paths that the server has read
        self._warm: dict[object, asyncio.Task[None]] = {}

    @property
    def name(self) -> str:
        """``reward_server``."""
        return "reward_server"

    @property
    def parameters(self) -> dict[str, Any]:
        """For a run's manifest."""
        return {"format": self.form.model_dump(mode="json", exclude={"summary", "profiles"})}

    async def score(self, paths: Sequence[ScoredPath]) -> Sequence[PathScore | ScoreFailure]:
        """Score them in one POST."""
        written = await self._renderer.paths([(path.problem, path.prefix) for path in paths])
        parents = {path.parent.fingerprint: path.parent for path in written if path.parent is not None}
        if self.form.reads == "reward_head":
            await together(self._read_once(parent) for parent in parents.values())
            return [self._of_head(outcome) for outcome in await self.client.reward_scores(written)]
        # What siblings share is computed once, before them. What was computed for another score is there but for a
        # restarted server and a full cache, which the call itself looks after: asking would be a task for each parent.
        cold = parents.keys() - self._computed
        await together(self.client.warm(parents[key]) for key in cold)
        labels: tuple[str | int, str | int] = self.form.label_ids or (self.form.good, self.form.bad)
        outcomes = await self.client.label_choices(written, labels)
        if len(self._computed) > _REMEMBERED:
            self._computed.clear()
        pairs = zip(written, outcomes, strict=True)
        self._computed.update(cold, (path.fingerprint for path, each in pairs if not isinstance(each, ScoreFailure)))
        return [each if isinstance(each, ScoreFailure) else PathScore(each.probs[0], each.usage) for each in outcomes]

    async def _read_once(self, parent: Prefix) -> None:
        """Put what siblings share into the cache of a server that cannot be told to."""
        key = parent.fingerprint
        reading = self._warm.get(key)
        if reading is None:
            if parent.parent is not None:  # a parent that is a step was scored, so it is warm
                return
            reading = self._warm[key] = asyncio.ensure_future(self._read(parent))
            reading.add_done_callback(lambda done: self._has_read(key, done))
        await asyncio.shield(reading)

    def _has_read(self, key: object, reading: asyncio.Task[None]) -> None:
        if reading.cancelled() or reading.exception() is not None:
            del self._warm[key]  # who comes next asks again

    async def _read(self, parent: Prefix) -> None:
        await self.client.reward_scores([parent])

    def _of_head(self, outcome: RewardScore | ScoreFailure) -> PathScore | ScoreFailure:
        if isinstance(outcome, ScoreFailure):
            return outcome
        if len(outcome.values) != 1:
            return ScoreFailure(f"the head has {len(outcome.values)} outputs, a reward model one")
        value = outcome.value
        return PathScore(_sigmoid(value) if self.form.squash == "sigmoid" else value, outcome.usage)

    def __repr__(self) -> str:
        return f"RewardServer({self.client!r}, {self.form.name})"


def _sigmoid(value: float) -> float:
    # Of -1000 the other way round would overflow.
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def _format_of(client: AsyncPolicyClient) -> RewardFormat:
    """The format of the client's profile, or the only one that this kind of server can be read by."""
    profile, info = client.profile, client.capabilities
    scoring = None if profile.reward is None else profile.reward.scoring
    if info.has_reward_head:
        return load_reward_format("reward-head")
    if isinstance(scoring, MeanHeadScoring):
        raise ConfigurationError(
            f"the reward model of profile {profile.name!r} is read as the sigmoid of the mean over the vocabulary of "
            "its output at each step tag. Stock SGLang tells probabilities of tokens and outputs of reward heads, no "
            "mean over the vocabulary: serve the model with a reward head that computes it (one output, architecture "
            "*ForSequenceClassification) and --is-embedding, or take another reward model (profile mistral or llama3)"
        )
    for form in list_reward_formats():
        if profile.name in form.profiles:
            return form
    if isinstance(scoring, LabelScoring):
        return RewardFormat(
            name=profile.name, reads="label_probs", begin="{problem}", first_step=f" {{step}}{scoring.step_tag}",
            next_step=f"\n{{step}}{scoring.step_tag}", good=scoring.good, bad=scoring.bad, label_ids=scoring.label_ids,
        )  # fmt: skip
    names = ", ".join(form.name for form in list_reward_formats())
    raise ConfigurationError(
        f"profile {profile.name!r} names no reward model, so nobody knows how to read {info.model_path}: give a "
        f"format, one of {names}, or a YAML file of your own (--reward-format)"
    )
