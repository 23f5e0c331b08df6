"""How often and how patiently a failed attempt is repeated."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ConfigurationError

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is tried, and how long it waits for a server that is gone or full.

    Between tries there is full jitter: before try ``k + 1`` a call waits U(0, min(most_wait, first_wait · 2^(k-1))). A
    request that the server refused is never repeated, whatever the policy says. All calls of a client share a budget:
    a try that may have cost the server work is repeated for one call in ten, besides a small reserve.

    Attributes:
        attempts: tries of one call, the first included, >= 1; with 1 nothing is repeated, but for a request that met a
            connection which the server had just closed for being idle. Waiting for a server that is gone or full is
            no try.
        first_wait: seconds, upper end of the first wait.
        most_wait: seconds, upper end of any wait, and of what a ``Retry-After`` can ask for.
        patience: seconds that a call waits for a server that was there before and is gone, or that is full.
        least_attempt: seconds, lower end of the time after which an attempt without a reply is given up. That time is
            worked out from the tokens asked for and from the server's speed so far.
    """

    attempts: int = 5
    first_wait: float = 0.5
    most_wait: float = 8.0
    patience: float = 300.0
    least_attempt: float = 15.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError(f"RetryPolicy(attempts={self.attempts}): at least 1, which means no retry")
        if not 0 <= self.first_wait <= self.most_wait:
            raise ConfigurationError(
                f"RetryPolicy(first_wait={self.first_wait}, most_wait={self.most_wait}): 0 <= first_wait <= most_wait"
            )
        if not self.patience >= 0:
            raise ConfigurationError(f"RetryPolicy(patience={self.patience}): seconds, 0 or more")
        if not self.least_attempt > 0:
            raise ConfigurationError(f"RetryPolicy(least_attempt={self.least_attempt}): seconds above 0")
