"""How often and how patiently a failed attempt is repeated."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ConfigurationError

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: before try ``k + 1`` the client waits U(0, min(most, first · 2^(k-1))).

    Requests that the server refused are never repeated, whatever the policy says.

    Attributes:
        attempts: tries of one call, the first included, >= 1.
        first_wait: seconds, upper end of the first wait.
        most_wait: seconds, upper end of any wait.
    """

    attempts: int = 5
    first_wait: float = 0.5
    most_wait: float = 8.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError(f"RetryPolicy(attempts={self.attempts}): at least 1, which means no retry")
        if not 0 <= self.first_wait <= self.most_wait:
            raise ConfigurationError(
                f"RetryPolicy(first_wait={self.first_wait}, most_wait={self.most_wait}): 0 <= first_wait <= most_wait"
            )
