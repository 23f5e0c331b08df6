"""Which prefixes the server should hold in its cache, as far as this client has seen. Bounded, newest kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..prefix import Prefix

__all__ = ["Warmth"]


class Warmth:
    """Remembers prefixes whose requests have finished.

    SGLang makes a prompt matchable when its prefill is done and the generated tokens when the request ends
    (``mem_cache/radix_cache.py``).
    """

    def __init__(self, most: int = 100_000) -> None:
        """Remember at most ``most`` prefixes."""
        self._most = most
        self._known: OrderedDict[tuple[str | None, int, int], None] = OrderedDict()

    def add(self, prefix: Prefix) -> None:
        """The server has finished a request that holds this prefix."""
        self._known[prefix.fingerprint] = None
        self._known.move_to_end(prefix.fingerprint)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def length(self, prefix: Prefix) -> int:
        """How many tokens of ``prefix`` should be in the cache: those of its longest known ancestor or itself."""
        node: Prefix | None = prefix
        while node is not None:
            if node.fingerprint in self._known:
                return len(node)
            node = node.parent
        return 0

    def clear(self) -> None:
        """The cache is empty: the server was flushed or started again."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
