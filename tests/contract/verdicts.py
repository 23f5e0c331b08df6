"""Random sampling parameters, and what may be said of them here and on the server. Pure, but for the one that asks.

The values are sorted by what is known of them; this is the explicit list of where the client says more than SGLang.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ets_client import InvalidRequestError, SamplingParams
from ets_client._core.guard import check_token_fields
from ets_client._wire.generate import sampling_fields

if TYPE_CHECKING:
    from random import Random

__all__ = ["Verdict", "ask_server", "draw", "is_allowed", "is_refused_here"]

VOCABULARY = 2048
TAG = (
    '{"type":"structural_tag","structures":[{"begin":"<a>","schema":{"type":"object"},"end":"</a>"}],"triggers":["<a"]}'
)

GOOD: dict[str, list[Any]] = {
    "max_new_tokens": [1, 2, 3, 4],
    "min_new_tokens": [0, 1, 2, 5],  # more than max_new_tokens, now and then
    "temperature": [0, 0.0, 1e-7, 1e-5, 0.5, 1, 2.5, 1e6],
    "top_p": [1, 1.0, 0.5, 1e-9],
    "top_k": [-1, 1, 5, 2**30, 2**31 - 1],
    "min_p": [0, 0.1, 1],
    "frequency_penalty": [-2, 0, 0.5, 2.0],
    "presence_penalty": [-2.0, 0, 0.5, 2],
    "repetition_penalty": [1e-6, 0.5, 1, 2],
    "stop": ["never", "e", ["a", "b"], [], ["z"] * 32],
    "stop_token_ids": [[5], [5, 2047], []],
    "stop_regex": ["[0-9]+", ["a", "b+"], "a" * 256],
    "ignore_eos": [True, False],
    "skip_special_tokens": [True, False],
    "spaces_between_special_tokens": [True, False],
    "json_schema": ["{}", '{"type":"integer"}'],
    "regex": ["[0-9]+"],
    "ebnf": ['root ::= "a"'],
    "structural_tag": [TAG],
    "logit_bias": [{"5": 1.0}, {"5": -100, "2047": 3}],
    "sampling_seed": [0, 7, 2**63 - 2**16 - 1],
}
# Refused on both sides.
BAD: dict[str, list[Any]] = {
    "max_new_tokens": [-1, "3"],
    "min_new_tokens": [-1],
    "temperature": [-0.1, -1e-9, "1"],
    "top_p": [0, -1, 1.0001, "1"],
    "top_k": [0, -2],
    "min_p": [-0.1, 1.1],
    "frequency_penalty": [-2.1, 2.1],
    "presence_penalty": [-2.1, 2.1],
    "repetition_penalty": [0, -1, 2.1],
    "stop_token_ids": [["x"]],
    "stop_regex": ["(", ["a", "["]],
    "logit_bias": [{"-1": 1.0}, {"x": 1.0}],
    "max_tokens": [5],
}
# Refused here, and perhaps not there, with the reason.
STRICTER: dict[str, list[Any]] = {
    "max_new_tokens": [0],  # generates nothing: `warm` does that
    "temperature": [1e7],  # the bound keeps far from values that are infinite in 32 bits
    "repetition_penalty": [1e-7],  # likewise, from those that are 0
    "stop": ["", ["a", ""], ["z"] * 33],  # stops at once; more than 0.5.23 takes
    "stop_regex": ["", "a" * 257, ["a"] * 33],  # likewise
    "sampling_seed": [-1],  # siblings count up from it
    "json_schema": [""],  # no grammar at all
    "n": [2],  # `expand(n=2)` does that
}
# Refused here, and never sent: a real server may die of it (a number of another type reaches its scheduler).
DEADLY: dict[str, list[Any]] = {
    "max_new_tokens": [3.0, True],
    "min_new_tokens": [1.0],
    "temperature": [True, 1e308],
    "top_k": [2**31, 1.5],
    "ignore_eos": [1],
    "skip_special_tokens": ["yes"],
    "stop_token_ids": [[-1], [2048], [2**63]],
    "logit_bias": [{"5": 1e10}],
    "sampling_seed": [2**63],
}
# Accepted here and refused there, in the server's own words: what it alone can read.
THEIRS: dict[str, list[Any]] = {
    "json_schema": ["nonsense"],
    "regex": ["("],
    "ebnf": ["x"],
    "structural_tag": ["nonsense"],
    "logit_bias": [{"2048": 1.0}],
}
POOLS = {"good": GOOD, "bad": BAD, "stricter": STRICTER, "deadly": DEADLY, "theirs": THEIRS}
GRAMMARS = {"json_schema", "regex", "ebnf", "structural_tag"}
Verdict = Literal["accepted", "refused"]


@dataclass(frozen=True)
class Drawn:
    """One set of fields, in SGLang's names, and the kinds of its values."""

    fields: dict[str, Any]
    kinds: frozenset[str]

    @property
    def is_deadly(self) -> bool:
        """Whether it must never be sent: a grammar that ends before ``min_new_tokens`` is deadly too."""
        grammars = self.fields.keys() & GRAMMARS
        return "deadly" in self.kinds or (bool(self.fields.get("min_new_tokens")) and bool(grammars))


def draw(rng: Random) -> Drawn:
    """Draw one to five fields, most of them good."""
    fields: dict[str, Any] = {"max_new_tokens": 4}
    kinds: set[str] = set()
    for _ in range(rng.randint(1, 5)):
        kind = rng.choices(list(POOLS), [14, 3, 1, 1, 1])[0]
        name = rng.choice(list(POOLS[kind]))
        if name in fields and name != "max_new_tokens":
            continue
        fields[name] = rng.choice(POOLS[kind][name])
        kinds.add(kind)
    return Drawn(fields, frozenset(kinds))


def is_refused_here(drawn: Drawn) -> bool:
    """Whether the client refuses the fields; those that it accepts are what it would send."""
    ours = {"seed" if name == "sampling_seed" else name: value for name, value in drawn.fields.items()}
    try:
        params = SamplingParams(**ours)
        check_token_fields(params, VOCABULARY)
    except InvalidRequestError:
        return True
    sent = json.loads(json.dumps(sampling_fields(params)))
    for name, value in drawn.fields.items():
        assert sent[name] == value or [value] == sent[name]
    return False


def ask_server(url: str, drawn: Drawn) -> Verdict:
    """Send the fields as they are, beside the client."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    body = {"input_ids": [5, 6, 7], "sampling_params": drawn.fields}
    try:
        connection.request("POST", "/generate", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        said = reply.read()
    finally:
        connection.close()
    assert reply.status in {200, 400, 500}, (drawn, said)
    return "accepted" if reply.status == 200 else "refused"


def is_allowed(drawn: Drawn, *, refused_here: bool, there: Verdict) -> bool:
    """Whether the two verdicts may be as they are."""
    if refused_here == (there == "refused"):
        return True
    if refused_here:
        # A greedy request has a top_k of 1, whatever else was given.
        hides_top_k = drawn.fields.get("temperature", 1.0) < 1e-6 and "top_k" in drawn.fields
        # 0.5.14 takes a structural tag beside another grammar, and uses one of them.
        has_tag = "structural_tag" in drawn.fields and len(drawn.fields.keys() & GRAMMARS) > 1
        return "stricter" in drawn.kinds or hides_top_k or has_tag
    return "theirs" in drawn.kinds
