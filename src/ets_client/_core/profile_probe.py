"""Which texts tell whether a profile fits a tokenizer, and what the tokenizer answered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..profiles import ChatPrompt, CompletionPrompt, LabelScoring, TokenizedText
from .prompt import Message, render_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..profiles import Profile, ServerChatPrompt

__all__ = [
    "PLAIN",
    "QUESTION",
    "STEPS",
    "Answers",
    "Placed",
    "followings",
    "head_of",
    "join",
    "markers_of",
    "place",
    "probe_chat",
    "probe_prompt",
    "probe_rows",
    "probe_texts",
    "shares_tokenizer",
    "starts",
]

Ids = tuple[int, ...]

# How steps end. Tokenizers fuse some signs with a line end: ".\n\n" and "$\n\n" are tokens of Llama 3, "2\n\n" is not.
STEPS = ("So there are 3 * 4 = 12 apples.", "The sum is x = 12", "Thus $x = 12$")
QUESTION = "1 + 1?"
PLAIN = "a"  # stands before a marker: SentencePiece puts a space before what comes first
# Texts that mean something as one token alone. "[INST]" is not among them: Mistral's first tokenizers spell it.
_MARKER = re.compile(r"<\|[^\s<>|]+\|>|<\uff5c[^\s<>\uff5c]+\uff5c>|</?s>|<(?:bos|eos)>|<(?:start|end)_of_turn>")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a tokenizer said.

    Attributes:
        plain: ids of each text, nothing added.
        special: ids of each text with the special tokens that the tokenizer adds.
        texts: the text of each row of :func:`probe_rows`.
        chat: ids of :func:`probe_chat` in the server's own template, or None when there are none.
        no_chat: why there are none, or "" when they were not asked for.
        size: entries of the tokenizer, or None when nobody knows.
    """

    plain: Mapping[str, Ids]
    special: Mapping[str, Ids]
    texts: Mapping[Ids, str]
    chat: Ids | None = None
    no_chat: str = ""
    size: int | None = None

    def shown(self, ids: Sequence[int], text: str | None = None) -> TokenizedText:
        """Ids with their pieces, and the text that they are."""
        pieces = tuple(self.texts[(token,)] for token in ids)
        return TokenizedText("".join(pieces) if text is None else text, tuple(ids), pieces)


@dataclass(frozen=True, slots=True)
class Placed:
    """A text where it stands: after another one.

    Attributes:
        ids: its tokens; the first holds the end of the other text too when they are not apart.
        is_apart: whether the other text has the tokens that it has alone.
    """

    ids: Ids
    is_apart: bool

    @property
    def token(self) -> int | None:
        """Its id, when it is one token of its own."""
        return self.ids[0] if self.is_apart and len(self.ids) == 1 else None


def place(before: Ids, whole: Ids) -> Placed:
    """Where a text stands, by the tokens of what stands before it and of both together."""
    same = 0
    while same < min(len(before), len(whole)) and before[same] == whole[same]:
        same += 1
    return Placed(whole[same:], same == len(before))


def join(step: str, ending: str) -> str:
    """A step and what ends it, as models write them: words stand apart."""
    return f"{step} {ending}" if ending[:1].isalnum() else step + ending


def followings(delimiter: str) -> tuple[str, ...]:
    """What models write after a delimiter; a blank line often stands where a line could end."""
    if delimiter[-1:].isalnum():
        return ("\nThen",)
    return ("Then", "\nThen") if delimiter == "\n" else ("Then",)


def shares_tokenizer(profile: Profile) -> bool:
    """Whether the reward model's tokenizer is the policy's, as far as the profile tells."""
    model, reward = profile.model, profile.reward
    return model is not None and reward is not None and None is not model.vocab_size == reward.model.vocab_size


def markers_of(profile: Profile) -> list[str]:
    """The texts in a profile's prompt and step tag that must be single tokens, each once."""
    prompt = profile.prompt
    parts: list[str] = []
    if isinstance(prompt, ChatPrompt):
        parts = [prompt.bos, *(text for turn in (prompt.system, prompt.user, prompt.assistant)
                               for text in (turn.before, turn.after))]  # fmt: skip
    elif isinstance(prompt, CompletionPrompt):
        parts = [prompt.template]
    if profile.reward is not None and shares_tokenizer(profile):
        parts.append(profile.reward.scoring.step_tag)
    return list(dict.fromkeys(_MARKER.findall("".join(parts))))


def probe_chat(prompt: ChatPrompt | ServerChatPrompt) -> list[Message]:
    """A chat with every kind of turn that the profile uses."""
    messages: list[Message] = [{"role": "system", "content": "Be brief."}] if prompt.system_prompt else []
    messages.append({"role": "user", "content": "1 + 2?"})
    messages.append({"role": "assistant", "content": "3."})
    messages.append({"role": "user", "content": QUESTION})
    return messages


def head_of(prompt: ChatPrompt) -> str:
    """What stands before the first user turn of :func:`probe_chat`."""
    first = probe_chat(prompt)[0]
    return prompt.bos + (
        prompt.system.before + first["content"] + prompt.system.after if first["role"] == "system" else ""
    )


def probe_prompt(profile: Profile) -> str:
    """A prompt in the profile's format."""
    prompt = profile.prompt
    if isinstance(prompt, ChatPrompt):
        return render_messages(prompt, probe_chat(prompt))
    return prompt.template.replace("{question}", QUESTION) if isinstance(prompt, CompletionPrompt) else QUESTION


def probe_texts(profile: Profile) -> tuple[list[str], list[str]]:
    """The texts to tokenise without and with special tokens; none is empty."""
    plain = [PLAIN, QUESTION, probe_prompt(profile), *STEPS, *(PLAIN + marker for marker in markers_of(profile))]
    if isinstance(profile.prompt, ChatPrompt):
        plain.append(head_of(profile.prompt))
    for delimiter in profile.steps.delimiters:
        for ended in (join(step, delimiter) for step in STEPS):
            plain += [ended, *(ended + following for following in followings(delimiter))]
    if profile.reward is not None and shares_tokenizer(profile):
        scoring = profile.reward.scoring
        tagged = join(STEPS[0], scoring.step_tag)
        plain.append(tagged)
        if isinstance(scoring, LabelScoring):
            for label in (scoring.good, scoring.bad):
                plain += [label, tagged + label]
    return [text for text in dict.fromkeys(plain) if text], list(dict.fromkeys((QUESTION, probe_prompt(profile))))


def probe_rows(profile: Profile, plain: Mapping[str, Ids], *others: Ids) -> list[Ids]:
    """The ids to decode: each that came up alone, and steps up to each place where their delimiter may end.

    Args:
        profile: what is to be checked.
        plain: ids of each text without special tokens.
        others: the tokenizer's other answers.
    """
    seen = {token for ids in (*plain.values(), *others) for token in ids}
    rows: dict[Ids, None] = {(token,): None for token in sorted(seen)}
    for delimiter in profile.steps.delimiters:
        for ended in (join(step, delimiter) for step in STEPS):
            rows[plain[ended]] = None
            for following in followings(delimiter):
                rows |= dict.fromkeys(starts(plain[ended], plain[ended + following]))
    rows.pop((), None)
    return list(rows)


def starts(before: Ids, whole: Ids) -> list[Ids]:
    """The starts of a text's tokens that may be those of what it begins with, the likeliest first.

    GPT-2's kind of tokenizer makes one token of a blank line that ends a text, and two of one that a word follows.
    """
    placed = place(before, whole)
    if placed.is_apart:
        return [before]
    same = len(whole) - len(placed.ids)
    return [whole[:length] for length in range(same + 1, len(whole) + 1)]
