"""How a server's cache counts: its pages and its room."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CacheRules"]

_NOBODY_SHARES = 1 << 40  # a page longer than any prompt


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What ``/server_info`` tells of the cache.

    Attributes:
        capacity_tokens: ``max_total_num_tokens``: tokens that the cache and the running samples have together.
        page_size: matches and insertions are rounded down to a multiple of it.
        is_enabled: False with ``--disable-radix-cache``: nothing is ever reused.
        most_nodes: bound of our own memory; beyond it the least recently used is taken for evicted
            (0.4 KB each).
        shared_page: the unit in which tokens are shared.
    """

    capacity_tokens: int
    page_size: int = 1
    is_enabled: bool = True
    most_nodes: int = 200_000
    shared_page: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("capacity_tokens", "page_size", "most_nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: at least 1; /server_info of the server tells it")
        object.__setattr__(self, "shared_page", self.page_size if self.is_enabled else _NOBODY_SHARES)

    def reusable(self, length: int) -> int:
        """Most tokens of a prompt of this length that the cache can give: SGLang always computes the last one."""
        return (length - 1) // self.shared_page * self.shared_page if length else 0

    def floor(self, length: int) -> int:
        """Rounded down to what can be shared."""
        return length // self.shared_page * self.shared_page

    def ceil(self, length: int) -> int:
        """Rounded up to whole pages, which is what a running sample occupies."""
        return -(-length // self.page_size) * self.page_size
