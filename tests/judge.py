"""A model that judges: the fake's own finds unlikely tokens alike, so that all labels would have the same share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ets_client.testing import SeededModel
from ets_client.testing.model import Distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client.testing import Tokenizer

__all__ = ["Judge"]


class Judge(SeededModel):
    """Thinks a path good (``+``) with a probability that its last token decides, and else bad (``-``)."""

    def bind(self, tokenizer: Tokenizer) -> None:
        super().bind(tokenizer)
        self._size = tokenizer.vocab_size
        (self._good,), (self._bad,) = (tokenizer.encode(label, add_special_tokens=False) for label in "+-")

    def after(self, context: tuple[int, ...]) -> Distribution:
        good = self.share(context)
        found = sorted([(0.9 * good, self._good), (0.9 * (1 - good), self._bad)], reverse=True)
        return Distribution((found[0][1], found[1][1]), (found[0][0], found[1][0]), 0.1 / (self._size - 2))

    @staticmethod
    def share(path: Sequence[int]) -> float:
        """Of the good label, behind these tokens."""
        return (1 + sum(path[-3:]) % 7) / 9
