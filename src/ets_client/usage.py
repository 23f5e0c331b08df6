"""What a request cost its server."""

from __future__ import annotations

from ._record import Record

__all__ = ["Usage"]


class Usage(Record, frozen=True):
    """Tokens, as the server counted them.

    Attributes:
        prompt_tokens: tokens sent.
        cached_tokens: of these, tokens that the server found in its KV cache.
        completion_tokens: tokens generated.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    @property
    def computed_tokens(self) -> int:
        """Prompt tokens that the server had to prefill."""
        return self.prompt_tokens - self.cached_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
        )
