"""In which order waiting samples are begun. Source: ``schedule_policy.py``. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .radix import RadixTree

if TYPE_CHECKING:
    from .job import Job

__all__ = ["order_waiting"]

_MOST_SORTED = 128
_SHORT_MATCH = 32
_LONG_SHARE = 32


def order_waiting(waiting: list[Job], policy: str, tree: RadixTree) -> None:
    """Sort the queue in place.

    Under ``lpm`` the longest match in the cache comes first. Of samples that match hardly anything but share a prefix
    with an earlier one, only that one keeps its place: the others come last, to find its prefix in the cache. With more
    than 128 waiting, the order of arrival holds, as under ``fcfs``.

    Args:
        waiting: the queue.
        policy: ``fcfs`` or ``lpm``.
        tree: the cache.
    """
    if policy != "lpm" or not 1 < len(waiting) <= _MOST_SORTED:
        return
    beside = RadixTree()
    keys: dict[int, float] = {}
    for job in waiting:
        matched = tree.match_length(job.ids, job.most_matched, job.namespace)
        keys[job.order] = -matched
        if matched <= _SHORT_MATCH:
            if beside.match_length(job.ids, job.length, job.namespace) >= _LONG_SHARE:
                keys[job.order] = math.inf
            else:
                beside.insert(job.ids, job.namespace)
    waiting.sort(key=lambda job: keys[job.order])
