"""Calls that nobody should make, drawn from a seed. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ets_client import LogprobOptions, Origin, Prefix

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

__all__ = ["HostileCall", "hostile_calls"]

_HUGE = 10**400
_LONG_NUMBER = 10**5000  # Python refuses to write it in decimal digits
_DEEP: list[Any] = []
for _ in range(2000):
    _DEEP = [_DEEP]
_CIRCLE: list[Any] = []
_CIRCLE.append(_CIRCLE)

TEXTS: list[Any] = [
    "", " ", "Hello there", "\n\n", "\x00", "\x00\x1f\x7f\x9f", "\ud800", "a\udfffb", "é", "e\u0301" * 40,
    "\u202e\u200b\ufeff",
    "🦙" * 30, "</s>", "<|im_start|>system\n", "{question}", "%s%n", "\r\n\r\n", '"},{"rid":"', "a" * 5_000,
    "word " * 30_000,
]  # fmt: skip
NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, 8, 0.0, -0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5e-324, 1e-46, 1e-10, 1e39, 1e308, math.nan,
    math.inf, -math.inf,
    2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, _HUGE, _LONG_NUMBER,
]  # fmt: skip
ODDITIES: list[Any] = [
    None, True, False, "", "x", b"bytes", [], [[]], {}, set[int](), (), [None], {"a": {"b": []}}, object(), len, 1j,
    range(3), memoryview(b"ab"), _DEEP, _CIRCLE, type("Odd", (), {}), float, iter([1, 2]),
]  # fmt: skip
IDS: list[Any] = [
    [], [0], [5, 6, 7, 8], [2047], [2048], [-1], [1, 1, 1], (5, 6), range(5, 9), [[5, 6], [7]], [[]], [None],
    [5, None], [True],
    [1.0], ["5"], [5, [6]], [2**31], [2**63], [_HUGE], [_LONG_NUMBER], list(range(2048)), [5] * 2_040,
    [5] * 2_042, [5] * 5_000,
    [math.nan],
]  # fmt: skip
CHATS: list[Any] = [
    [{"role": "user", "content": "Hello"}], [{"role": "user", "content": ""}], [{"role": "assistant", "content": "So"}],
    [{"role": "tool", "content": "x"}], [{"role": "user"}], [{}], [{"role": "user", "content": "\ud800"}],
    [{"role": "user", "content": None}], [{"role": "user", "content": "a", "name": "b"}], [{"role": ["user"],
    "content": "a"}],
    [{"role": "user", "content": "a"}, None], [{5: 6}],
]  # fmt: skip
NAMESPACES: list[Any] = [
    None,
    "a",
    "",
    " ",
    "\x00",
    "\ud800",
    "🦙",
    "n" * 10_000,
    5,
    ["a"],
    b"a",
    True,
    "a/b?c=d&e",
    {"a": 1},
]
SAMPLES: list[Any] = [1, 2, 5, 8, 0, -1, 4097, 10**9, _LONG_NUMBER, None, True, 2.0, "2", [2], math.nan, {}]
TIMEOUTS: list[Any] = [None, 20, 20.5, 0, -1, 1e-9, 1e-3, math.nan, math.inf, -math.inf, _HUGE, "5", True, [], 1e300]
FLAGS: list[Any] = [True, False, None, 0, 1, "yes", []]
LOGPROBS: list[Any] = [
    *FLAGS,
    LogprobOptions(top=1),
    LogprobOptions(top=1000),
    LogprobOptions(chosen=(5, 2047)),
    LogprobOptions(top=2, chosen=(2048,)),
    LogprobOptions,
]
RIDS: list[Any] = [
    "nobody", "", " ", "\x00", "\ud800", '"', '","abort_all":true,"x":"', "\\", "🦙", "r" * 10_000, None, 5,
    b"a", ["a"], True,
]  # fmt: skip
LABELS: list[Any] = [
    ["\n", "+"], ["+"], [], "", "+-", ["+", "+"], [5, 6], [5, 5], [2048], [-1], [None], [[5]], [""],
    ["\ud800"], ["two words"],
    None, 5, {"+": 1}, {5, 6}, [True], [1.0], [_LONG_NUMBER], ("+", 7), list(range(300)),
]  # fmt: skip
PATTERNS: list[Any] = [
    ".", "[0-9]+", "[", "(", "*", "(?<=a)b", r"(a)\1", "(?i)x", "a{,9999999}", "(?P<n>a)(?P=n)", r"\Z",
    "(?!x)", "", "\x00",
    "\ud800", "🦙*", ["a", "b"], ["a", ""], ["("], [None], 5, "x" * 5_000, ["a"] * 100, r"\p{L}", "a" * 20_000, {},
]  # fmt: skip
STOPS: list[Any] = [
    "", "\n", "\n\n", [], [""], ["a", ""], ["a"] * 40, ["a"] * 1_000, "\x00", "\ud800", "</s>", "🦙", ["a",
    None], [["a"]], 5,
    "s" * 20_000, ("a", "b"), {"a"}, {"a": 1}, b"a", list("abcdefgh"), True,
]  # fmt: skip
SCHEMAS: list[Any] = [
    "{}",
    '{"type":"integer"}',
    "nonsense",
    "[]",
    '{"type":"nonsense"}',
    '{"$ref":"#/none"}',
    "",
    "7",
    {},
    5,
    "\ud800",
]
BIASES: list[Any] = [
    {5: 1.0}, {"5": 1.0}, {"x": 1.0}, {-1: 1.0}, {2048: 1.0}, {2**63: 1.0}, {5: math.inf}, {5: math.nan},
    {5: 1e308}, {5: -1e308},
    {5: 3e38}, {5: "x"}, {}, [], [5], {5: None}, {True: 1.0}, {5: 10**400}, dict.fromkeys(range(2048), -100.0),
]  # fmt: skip
STOP_IDS: list[Any] = [
    5, [5], [], [-1], [2047], [2048], [10**6], [2**31], [2**63], [_LONG_NUMBER], [None], [True], ["5"],
    [1.0], [[5]], (5, 6), {5},
    list(range(2048)),
]  # fmt: skip
SAMPLING: dict[str, list[Any]] = {
    "max_new_tokens": [1, 2, 8, 8, 0, -1, 3.0, None, True, "8", 2**31, 2**63, _LONG_NUMBER, [8], math.nan],
    "min_new_tokens": [0, 1, 2, 8, 9, -1, 2.0, 2**63, None, "1"],
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "top_k": NUMBERS,
    "min_p": NUMBERS,
    "frequency_penalty": NUMBERS,
    "presence_penalty": NUMBERS,
    "repetition_penalty": NUMBERS,
    "stop": STOPS,
    "stop_token_ids": STOP_IDS,
    "stop_regex": PATTERNS,
    "ignore_eos": FLAGS,
    "skip_special_tokens": FLAGS,
    "spaces_between_special_tokens": FLAGS,
    "json_schema": SCHEMAS,
    "regex": PATTERNS,
    "structural_tag": SCHEMAS,
    "ebnf": ['root ::= "a"', "root ::= ", "x", "", "\ud800", 'start ::= "a"', 5],
    "logit_bias": BIASES,
    "seed": NUMBERS,
    "max_tokens": [5],
    "n": [2],
    "": [1],
}
EXTREMES: dict[str, list[Any]] = {
    "min_new_tokens": [0, 1, 6, 8],
    "temperature": [0, 5e-324, 1e-6, 1e-5, 1e39, 1e308, 3],
    "top_p": [5e-324, 1e-46, 1e-10, 1],
    "top_k": [-1, 1, 2**30, 2**31 - 1],
    "min_p": [0, 5e-324, 1],
    "frequency_penalty": [-2, 2, 1e-46],
    "presence_penalty": [-2, 2],
    "repetition_penalty": [1e-6, 2],
    "stop": ["\x00", "</s>", "🦙", ["a"] * 30, "s" * 20_000, list("abcdefgh")],
    "stop_token_ids": [0, [2047], list(range(2048))],
    "stop_regex": [".", "[0-9]+", r"\Z", "(?!x)", "🦙*", ["a", "b"]],
    "logit_bias": [{5: 1e9}, {5: -1e9}, dict.fromkeys(range(2048), -100.0), {1: 1e9}, {}],
    "seed": [0, 2**63 - 2**17],
    "regex": ["[0-9]+", "a{1000}", "$^", "(", "(?<=a)b", "🦙*"],
    "json_schema": ["{}", '{"type":"integer"}', '{"type":"nonsense"}', "nonsense", '{"type":"string","pattern":"("}'],
    "structural_tag": SCHEMAS,
    "ebnf": ['root ::= "a"', "x", 'root ::= ""', 'start ::= "a"'],
    "ignore_eos": [True],
    "skip_special_tokens": [False],
}
"""Values that are in range, and no more than that. Grammars that come back to themselves are left out: they kill."""

NOT_SAMPLING: list[Any] = [{"temperature": 0.5}, "greedy", 0.5, [], object(), True]


@dataclass(frozen=True, slots=True)
class HostileCall:
    """One call of the public API.

    Attributes:
        method: its name.
        arguments: by position.
        named: by name.
        sampling: fields of ``SamplingParams``, which are made as part of the call; None for no argument of that kind.
        leaves: of a stream: after how many parts it is left; None to read all of it.
        is_misshapen: it has a wrong number of arguments, or one that does not exist.
    """

    method: str
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict[str, Any])
    sampling: dict[str, Any] | None = None
    leaves: int | None = None
    is_misshapen: bool = False

    def __repr__(self) -> str:
        try:
            shown = repr((self.arguments, self.named, self.sampling, self.leaves))
        except (ValueError, RecursionError) as error:
            shown = (
                f"{type(error).__name__} in repr; named {sorted(self.named)}, sampling {sorted(self.sampling or {})}"
            )
        return f"{self.method}: {shown[:400]}"


def hostile_calls(random: random.Random, number: int, prefixes: Sequence[Prefix]) -> list[HostileCall]:
    """Draw calls.

    Args:
        random: decides.
        number: how many.
        prefixes: good ones of the server that will be called.
    """
    stranger = Prefix((5, 6), "x", origin=Origin("another tokenizer"))
    return [_Drawer(random, [*prefixes, stranger]).call() for _ in range(number)]


class _Drawer:
    def __init__(self, random: random.Random, prefixes: Sequence[Prefix]) -> None:
        self._random = random
        self._prefixes = prefixes

    def call(self) -> HostileCall:
        makers: dict[str, Callable[[str], HostileCall]] = {
            "expand": self._expand,
            "expand_iter": self._expand,
            "generate": self._generate,
            "stream": self._generate,
            "label_probs": self._label_probs,
            "label_choices": self._label_probs,
            "reward_scores": self._reward_scores,
            "prefix": self._prefix,
            "root": self._prefix,
            "tokenize": self._tokenize,
            "detokenize": self._detokenize,
            "warm": self._warm,
            "abort": self._abort,
        }
        # Generation has the most arguments, so it gets the most calls.
        (name,) = self._random.choices(list(makers), (6, 4, 4, 4, 2, 2, 1, 3, 1, 2, 2, 2, 2))
        call = makers[name](name)
        return self._misshape(call) if self._random.random() < 0.03 else call

    def _one(self, *pools: list[Any]) -> Any:
        return self._random.choice(self._random.choice(pools))

    def _good(self) -> Any:
        return self._random.choice([*self._prefixes[:-1], "Hello there", [5, 6, 7, 8]])

    def _source(self) -> Any:
        if self._random.random() < 0.85:
            return self._good()
        return self._one(TEXTS, IDS, CHATS, ODDITIES, NUMBERS, list(self._prefixes))

    def _named(self, **pools: list[Any]) -> dict[str, Any]:
        return {name: self._one(pool) for name, pool in pools.items() if self._random.random() < 0.1}

    def _sampling(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"max_new_tokens": self._random.randint(1, 6)}
        for name in self._random.sample(list(EXTREMES), self._random.choice((0, 1, 1, 2, 3))):
            fields[name] = self._one(EXTREMES[name])
        if self._random.random() < 0.3:
            name = self._random.choice(list(SAMPLING))
            fields[name] = self._one(SAMPLING[name], SAMPLING[name], SAMPLING[name], ODDITIES)
        return fields

    def _leaves(self) -> int | None:
        return self._random.choice((None, None, 0, 1, 2))

    def _expand(self, name: str) -> HostileCall:
        samples = self._random.choice((1, 2, 3)) if self._random.random() < 0.85 else self._one(SAMPLES, ODDITIES)
        return self._with_sampling(name, (self._source(), samples))

    def _generate(self, name: str) -> HostileCall:
        return self._with_sampling(name, (self._source(),))

    def _with_sampling(self, name: str, arguments: tuple[Any, ...]) -> HostileCall:
        named = self._named(logprobs=LOGPROBS, timeout=TIMEOUTS)
        if self._random.random() < 0.05:
            return HostileCall(name, arguments, {**named, "sampling": self._one(NOT_SAMPLING)}, leaves=self._leaves())
        return HostileCall(name, arguments, named, self._sampling(), self._leaves())

    def _label_probs(self, name: str) -> HostileCall:
        labels = ["+", "-"] if self._random.random() < 0.3 else self._one(LABELS)
        return HostileCall(name, (self._paths(), labels), self._named(timeout=TIMEOUTS))

    def _reward_scores(self, name: str) -> HostileCall:
        return HostileCall(name, (self._paths(),), self._named(timeout=TIMEOUTS))

    def _paths(self) -> Any:
        if self._random.random() < 0.7:
            return [self._random.choice(self._prefixes[:-1]) for _ in range(self._random.randint(0, 3))]
        return self._one(ODDITIES, IDS, TEXTS, [[None], ["text"], [self._prefixes[-1]], self._prefixes[0], [[]]])

    def _prefix(self, name: str) -> HostileCall:
        return HostileCall(name, (self._one(TEXTS, IDS, CHATS, ODDITIES, NUMBERS),), self._named(namespace=NAMESPACES))

    def _tokenize(self, name: str) -> HostileCall:
        return HostileCall(name, (self._one(TEXTS, ODDITIES),), self._named(add_special_tokens=FLAGS))

    def _detokenize(self, name: str) -> HostileCall:
        return HostileCall(name, (self._one(IDS, IDS, ODDITIES, TEXTS),))

    def _warm(self, name: str) -> HostileCall:
        return HostileCall(
            name, (self._one(list(self._prefixes), ODDITIES, TEXTS, IDS),), self._named(timeout=TIMEOUTS)
        )

    def _abort(self, name: str) -> HostileCall:
        return HostileCall(name, tuple(self._one(RIDS, RIDS, ODDITIES) for _ in range(self._random.randint(0, 4))))

    def _misshape(self, call: HostileCall) -> HostileCall:
        if self._random.random() < 0.5:
            return HostileCall(call.method, is_misshapen=True)
        return HostileCall(call.method, call.arguments, {**call.named, "no_such_argument": 1}, is_misshapen=True)
