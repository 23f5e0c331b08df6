"""From probabilities to a token and to log-probabilities. Pure."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .model import Distribution
    from .sampling import Sampling

__all__ = ["LogProbabilities", "draw"]


def draw(
    distribution: Distribution, sampling: Sampling, chance: float, output: Sequence[int], forbidden: Collection[int]
) -> int:
    """Take one token.

    Only the likely tokens of a distribution are ever taken, and those that a bias lifts.

    Args:
        distribution: what the model offers.
        sampling: how to choose.
        chance: a number in [0, 1).
        output: tokens so far, for penalties.
        forbidden: tokens that may not come yet (``min_new_tokens``).
    """
    tokens: Sequence[int] = distribution.tokens
    weights: Sequence[float] = distribution.probabilities
    if not sampling.is_plain:
        tokens, weights = _weigh(distribution, sampling, output, forbidden)
    left = chance * math.fsum(weights)
    for token, weight in zip(tokens, weights, strict=True):
        left -= weight
        if left < 0:
            return token
    return tokens[-1]


def _weigh(
    distribution: Distribution, sampling: Sampling, output: Sequence[int], forbidden: Collection[int]
) -> tuple[Sequence[int], Sequence[float]]:
    bias: Mapping[int, float] = sampling.logit_bias
    logits = {
        token: math.log(p) for token, p in zip(distribution.tokens, distribution.probabilities, strict=True) if p > 0
    }
    for token, extra in bias.items():
        logits[token] = logits.get(token, math.log(distribution.rest or 1e-9)) + extra
    for token in logits:
        seen = output.count(token)
        if seen:
            logit = logits[token] - sampling.frequency_penalty * seen - sampling.presence_penalty
            rate = sampling.repetition_penalty
            logits[token] = logit / rate if logit > 0 else logit * rate
    allowed = {token: logit for token, logit in logits.items() if token not in forbidden}
    if not allowed:
        # The script is over but the text may not end yet: any other token will do.
        allowed = {next(token for token in range(260, 1 << 30) if token not in forbidden): 0.0}
    top = max(allowed.values())
    ordered = sorted(
        ((math.exp((logit - top) / sampling.temperature), token) for token, logit in allowed.items()),
        key=lambda entry: (-entry[0], entry[1]),
    )
    total = math.fsum(weight for weight, _ in ordered)
    kept: list[tuple[float, int]] = []
    mass = 0.0
    for weight, token in ordered[: sampling.top_k]:
        if kept and (mass >= sampling.top_p * total or weight < sampling.min_p * ordered[0][0]):
            break
        kept.append((weight, token))
        mass += weight
    return [token for _, token in kept], [weight for weight, _ in kept]


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


class LogProbabilities:
    """Log-softmax at a temperature, biases included, before any truncation: what SGLang reports."""

    __slots__ = ("_known", "_rest", "_vocab_size")

    def __init__(
        self,
        distribution: Distribution,
        temperature: float,
        vocab_size: int,
        bias: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        """Normalise.

        Args:
            distribution: what the model offers at temperature 1.
            temperature: divides its logits.
            vocab_size: number of tokens.
            bias: added to the logits of some; to prompts' tokens SGLang adds none.
        """
        likely = dict(zip(distribution.tokens, distribution.probabilities, strict=True))
        likely |= {token: distribution.rest for token in bias if token not in likely}
        logits = [(_log(p) + bias.get(token, 0.0)) / temperature for token, p in likely.items()]
        rest = _log(distribution.rest) / temperature
        top = max(rest, *logits)  # so that a low temperature does not make zeros of all weights
        weights = [math.exp(logit - top) for logit in logits]
        total = top + math.log(math.fsum(weights) + math.exp(rest - top) * (vocab_size - len(weights)))
        self._known = {token: logit - total for token, logit in zip(likely, logits, strict=True)}
        self._rest = rest - total
        self._vocab_size = vocab_size

    def of(self, token: int) -> float:
        """The log-probability of a token."""
        return self._known.get(token, self._rest)

    def top(self, number: int) -> list[tuple[float, int]]:
        """The most probable tokens, the lowest id first among equals."""
        best = sorted(((value, token) for token, value in self._known.items()), key=lambda entry: (-entry[0], entry[1]))
        token = 0
        while len(best) < min(number, self._vocab_size):
            if token not in self._known:
                best.append((self._rest, token))
            token += 1
        return best[:number]
