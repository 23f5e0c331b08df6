"""One row of the dialect."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row", "met", "unmet"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        section: of the dialect, such as ``1.2``: 1 requests, 2 sampling, 3 replies, 4 streams, 5 errors, 6 other
            endpoints, 7 cache and scheduler, 8 launch and router.
        says: what it says, in a few words.
        proofs: names of cases (``request: ids``, or with ``*`` of several), or tests as ``folder/file::name``, without
            ``tests/``, ``test_`` and ``.py``.
        reason: why a text client cannot meet it, where there are no proofs.
    """

    section: str
    says: str
    proofs: tuple[str, ...] = ()
    reason: str = ""


def met(section: str, says: str, *proofs: str) -> Row:
    """A row that the client meets."""
    return Row(section, says, proofs)


def unmet(section: str, says: str, reason: str) -> Row:
    """A row that a text client cannot meet."""
    return Row(section, says, reason=reason)
