"""Extra requests that all calls of a client may make together."""

from __future__ import annotations

__all__ = ["RetryBudget"]

_EARNED_PER_CALL = 0.1
_RESERVE = 10.0
_MOST = 100.0  # a long quiet run must not pay for a storm of thousands
_TRICKLE = 0.5  # a second: a lone caller gets on, and 64 that all fail add no more than this


class RetryBudget:
    """A bucket of tokens: each call adds a tenth of one, each resend takes one (after gRPC's A6, retry throttling)."""

    def __init__(self) -> None:
        self._tokens = _RESERVE
        self._filled_at: float | None = None

    def earn(self) -> None:
        """A call was made."""
        if self._tokens < _MOST:
            self._tokens += _EARNED_PER_CALL

    def take(self, now: float) -> bool:
        """Whether one more resend is allowed now; it is taken when it is.

        Args:
            now: seconds on any clock that does not go back.
        """
        if self._filled_at is not None and self._tokens < 1:
            self._tokens = min(1.0, self._tokens + (now - self._filled_at) * _TRICKLE)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def tokens(self) -> float:
        """Resends that are allowed at this moment."""
        return self._tokens
