"""How reward models want paths written, and how their scores are read, as data."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ...errors import ConfigurationError

__all__ = ["RewardFormat", "list_reward_formats", "load_reward_format"]


class RewardFormat(BaseModel):
    """One reward model's way. Every path only grows: what is behind a step's text is there for the next step, too.

    Attributes:
        name: short name.
        summary: one line for people.
        profiles: profiles of :func:`~ets_client.load_profile` whose reward model it is.
        reads: ``label_probs``: P(good) / (P(good) + P(bad)) as the next token; ``reward_head``: the head's one output.
        add_special_tokens: whether the tokenizer adds its special tokens (a BOS for Llama 2 types) at the beginning.
        begin: text before the steps, with ``{problem}`` in it.
        first_step: text of the first step, with ``{step}`` in it; its end is where the model is asked.
        next_step: text of each other step.
        step_ends: what is cut from a step's end, besides white space: delimiters of policies.
        good: label of a good step, one token.
        bad: label of a bad step, one token.
        label_ids: ids of both, where the tokenizer makes something else of a label that stands alone.
        squash: ``sigmoid`` makes of a head's output a number from 0 to 1; ``none`` leaves it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    summary: str = ""
    profiles: tuple[str, ...] = ()
    reads: Literal["label_probs", "reward_head"]
    add_special_tokens: bool = False
    begin: str
    first_step: str
    next_step: str
    step_ends: tuple[str, ...] = ("ки",)
    good: str = "+"
    bad: str = "-"
    label_ids: tuple[int, int] | None = None
    squash: Literal["sigmoid", "none"] = Field(default="none")

    @field_validator("begin")
    @classmethod
    def _check_problem(cls, text: str) -> str:
        if text.count("{problem}") != 1:
            raise ValueError("it must hold {problem} exactly once")
        return text

    @field_validator("first_step", "next_step")
    @classmethod
    def _check_step(cls, text: str) -> str:
        if text.count("{step}") != 1:
            raise ValueError("it must hold {step} exactly once")
        return text

    def clean(self, step: str) -> str:
        """A step's text as the reward model has it, without what ends it on the policy."""
        text = step.strip()
        for end in self.step_ends:
            text = text.removesuffix(end).rstrip()
        return text


def load_reward_format(source: RewardFormat | str | os.PathLike[str]) -> RewardFormat:
    """A format by its name or from its file.

    Args:
        source: a name of :func:`list_reward_formats`, or a YAML file.

    Raises:
        ConfigurationError: there is no such name or file, or the file is not a format.
    """
    if isinstance(source, RewardFormat):
        return source
    known = {each.name: each for each in list_reward_formats()}
    if isinstance(source, str) and source in known:
        return known[source]
    path = Path(source)
    if not path.is_file():
        raise ConfigurationError(f"no reward format {os.fspath(source)!r}: a file, or one of {', '.join(known)}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the reward format {path} cannot be read: {error}") from None
    return _read(text, os.fspath(source))


@cache
def list_reward_formats() -> tuple[RewardFormat, ...]:
    """The formats that are known by name."""
    data = files("ets_client.search.scorers").joinpath("data")
    found = [_read(each.read_text(encoding="utf-8"), each.name) for each in data.iterdir() if each.name[-5:] == ".yaml"]
    return tuple(sorted(found, key=lambda each: each.name))


def _read(text: str, where: str) -> RewardFormat:
    try:
        return RewardFormat.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where} is not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(f"{where} is no reward format: {place}: {first['msg']}") from None
