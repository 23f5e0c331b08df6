"""Language models without weights: what comes next is decided by a seed or by a script. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Protocol

from .chance import fraction, mix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tokenizer import Tokenizer

__all__ = ["Continuation", "Distribution", "ScriptedModel", "SeededModel", "TextModel"]

_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Distribution:
    """Probabilities of the next token at temperature 1.

    Attributes:
        tokens: the likely ones, the most probable first.
        probabilities: theirs.
        rest: probability of each other token of the vocabulary.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    rest: float


class Continuation(Protocol):
    """One sample that a model writes."""

    def next(self, output: Sequence[int]) -> Distribution:
        """What may come after the tokens written so far."""
        ...


class TextModel(Protocol):
    """A model. Everything it does depends on its arguments alone."""

    def bind(self, tokenizer: Tokenizer) -> None:
        """Called once, before all else, with the server's tokenizer."""
        ...

    def begin(self, prompt: Sequence[int]) -> Continuation:
        """Begin to continue a prompt."""
        ...

    def read(self, prompt: Sequence[int], end: int) -> Distribution:
        """What it expected after the first ``end`` tokens of a prompt; for log-probabilities of prompts."""
        ...


class SeededModel:
    """An n-gram model made of hashes: the last three tokens decide the probabilities of eight next ones.

    Two servers with the same seed write the same. Siblings differ, since each request draws differently; greedy ones
    (``temperature: 0``) do not.
    """

    def __init__(self, seed: int = 0, *, line_end: float = 0.06, text_end: float = 0.01) -> None:
        """Make it.

        Args:
            seed: another seed is another model.
            line_end: probability of an empty line at each token, so that steps end.
            text_end: probability of the end-of-sequence token at each token.
        """
        if not 0 <= line_end + text_end <= 0.9:
            raise ValueError(f"line_end = {line_end}, text_end = {text_end}: together at most 0.9")
        self._seed = seed
        self._line_end = line_end
        self._text_end = text_end
        self._known: dict[tuple[int, ...], Distribution] = {}
        self._vocab_size = 0

    def bind(self, tokenizer: Tokenizer) -> None:
        """Learn which tokens there are."""
        special = tokenizer.special_ids
        self._vocab_size = tokenizer.vocab_size
        # A text of whole characters alone, so that ids and text agree in tests that read it.
        self._words = [
            token
            for token in range(tokenizer.vocab_size)
            if token not in special and "\ufffd" not in (text := tokenizer.decode([token])) and text.strip()
        ]
        self._fixed: list[tuple[int, float]] = []
        line_end = tokenizer.encode("\n\n", add_special_tokens=False)
        if self._line_end and len(line_end) == 1:
            self._fixed.append((line_end[0], self._line_end))
        if self._text_end:
            self._fixed.append((tokenizer.eos_token_id, self._text_end))

    def begin(self, prompt: Sequence[int]) -> Continuation:
        """Begin to continue a prompt."""
        return _Seeded(self, tuple(prompt[-3:]))

    def read(self, prompt: Sequence[int], end: int) -> Distribution:
        """What it expected after the first ``end`` tokens."""
        return self.after(tuple(prompt[max(0, end - 3) : end]))

    def after(self, context: tuple[int, ...]) -> Distribution:
        """What comes after these last tokens."""
        found = self._known.get(context)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[context] = self._make(context)
        return found

    def _make(self, context: tuple[int, ...]) -> Distribution:
        chosen = dict(self._fixed)
        left, place = 0.95 - sum(chosen.values()), 0
        base = mix(self._seed, *context)
        while len(chosen) < 8:
            token = self._words[mix(base, place) % len(self._words)]
            place += 1
            if token not in chosen:
                share = left * (0.25 + 0.5 * fraction(base, place, 1))
                chosen[token] = share
                left -= share
        ordered = sorted(chosen.items(), key=lambda entry: (-entry[1], entry[0]))
        tokens, probabilities = zip(*ordered, strict=True)
        rest = (1.0 - sum(probabilities)) / (self._vocab_size - len(tokens))
        return Distribution(tokens, probabilities, rest)

    def __repr__(self) -> str:
        return f"SeededModel({self._seed})"


class _Seeded:
    __slots__ = ("_last", "_model")

    def __init__(self, model: SeededModel, last: tuple[int, ...]) -> None:
        self._model = model
        self._last = last

    def next(self, output: Sequence[int]) -> Distribution:
        length = len(output)
        if length >= 3:
            return self._model.after(tuple(output[-3:]))
        return self._model.after((*self._last, *output)[-3:])


Answers = str | Sequence[str]


class ScriptedModel:
    """A model that says what it is told, then ends its text.

    A prompt's text decides: a function of it, or the first pattern of a mapping found in it. The answers of one pattern
    are used in turn, in the order in which requests are admitted. An answer that the prompt already ends with a
    beginning of is gone on with, so a search that sends a path back gets the rest of the answer.
    """

    def __init__(self, script: Answers | Mapping[str, Answers] | Callable[[str], str], *, seed: int = 0) -> None:
        """Make it.

        Args:
            script: one answer, answers in turn, a mapping of patterns to answers, or a function of the prompt's text.
            seed: of the :class:`SeededModel` that answers prompts that no pattern fits, and reads prompts.
        """
        self._function = script if callable(script) else None
        self._rules: list[tuple[re.Pattern[str], list[str], Iterator[str]]] = []
        if not callable(script):
            rules = script if isinstance(script, Mapping) else {"": script}
            for pattern, answers in rules.items():
                listed = [answers] if isinstance(answers, str) else list(answers)
                if not listed:
                    raise ValueError(f"script: no answer for {pattern!r}; give at least one")
                self._rules.append((re.compile(pattern, re.DOTALL), listed, cycle(listed)))
        self._otherwise = SeededModel(seed)
        self._tokenizer: Tokenizer | None = None

    def bind(self, tokenizer: Tokenizer) -> None:
        """Learn how to read prompts."""
        self._tokenizer = tokenizer
        self._otherwise.bind(tokenizer)

    def begin(self, prompt: Sequence[int]) -> Continuation:
        """Choose the answer to a prompt."""
        assert self._tokenizer is not None  # noqa: S101 - the server binds before it begins
        text = self._tokenizer.decode(prompt)
        answer = self._function(text) if self._function is not None else self._find(text)
        if answer is None:
            return self._otherwise.begin(prompt)
        ids = self._tokenizer.encode(answer, add_special_tokens=False)
        return _Scripted((*ids, self._tokenizer.eos_token_id), self._tokenizer.vocab_size)

    def read(self, prompt: Sequence[int], end: int) -> Distribution:
        """What it expected of a prompt: as :class:`SeededModel`."""
        return self._otherwise.read(prompt, end)

    def _find(self, text: str) -> str | None:
        for pattern, listed, turn in self._rules:
            if pattern.search(text):
                for answer in listed:
                    said = next((size for size in range(len(answer), 7, -1) if text.endswith(answer[:size])), 0)
                    if said:
                        return answer[said:]
                return next(turn)
        return None

    def __repr__(self) -> str:
        return f"ScriptedModel({len(self._rules)} rules)"


class _Scripted:
    __slots__ = ("_script", "_vocab_size")

    def __init__(self, script: tuple[int, ...], vocab_size: int) -> None:
        self._script = script
        self._vocab_size = vocab_size

    def next(self, output: Sequence[int]) -> Distribution:
        # Only likely tokens are drawn, and there is one: no temperature and no seed changes the words.
        token = self._script[min(len(output), len(self._script) - 1)]
        return Distribution((token,), (0.999,), 0.001 / (self._vocab_size - 1))
