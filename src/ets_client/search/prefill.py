"""The least that a server has to prefill for a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..prefix import Prefix

__all__ = ["least_prefill"]


def least_prefill(root: Prefix, earlier_roots: Iterable[Prefix], samples: int) -> int:
    """Tokens that a server with an empty cache must prefill for one tree, whatever the client does.

    The root's tokens that no earlier root has are computed once, by the first sample. Every other sample computes one
    token: SGLang never reuses the last token of a prompt. What the samples generate is cached by their decoding.

    Args:
        root: the tree's root.
        earlier_roots: roots of the trees before it on the same server.
        samples: samples of the whole tree.
    """
    shared = max((root.common_length(other) for other in earlier_roots), default=0)
    return max(len(root) - shared, 1) + samples - 1 if samples else 0
