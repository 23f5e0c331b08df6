"""What a search has cost the server, and the least that it could have cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Ledger", "LedgerRow"]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Totals of one tree, or of all that a client did. Numbers are tokens unless they say otherwise.

    Attributes:
        name: of the tree; the end of its root's text where it has no scope.
        expands: calls that sample: ``expand``, ``expand_iter``, ``generate`` and ``stream``.
        samples: samples of which a reply came, aborted ones included.
        prefills: requests without output of which a reply came.
        unanswered: samples and prefills of which no reply came: cancelled, refused, left with their stream, or the
            connection broke. What the server computed for them is in none of the other numbers: nobody was told.
        asked: prompt tokens sent.
        predicted: of these, tokens that the server should have found in its cache; frozen before each was sent.
        reused: tokens that it says it found there.
        least: the fewest that a cache which forgets nothing would have had to compute for the same samples: each token
            of their paths once, unless it was generated, and the last token of each sample's prompt.
        generated: tokens generated.
        generated_after_prune: of these, tokens of samples that came back when their path had been pruned or their tree
            had ended.
        retractions: how often the server took a running sample's room and computed it again later. Neither ``asked``
            nor ``reused`` shows that, but the server's counter of prefilled tokens does.
        live: tokens on paths that are in use: roots and what was generated after them, unless it was pruned or its
            tree has ended; what several share counts once.
        live_peak: the most there were at once.
        live_mean: the mean over ``seconds``.
        live_token_seconds: the sum over time: what the search occupied.
        published_kv: ETS's own KV figure (``get_kv_size``), which its paper's ratios are made of: at each level from
            which something was expanded, the tokens of the steps that could be gone on with and of all steps above
            them; a root counts 2, and what is pruned has counted before. Steps that ended like any other are taken for
            open ones: the ledger reads no answers.
        seconds: from the first reply to the end of the tree, or to now.
    """

    name: str = ""
    expands: int = 0
    samples: int = 0
    prefills: int = 0
    unanswered: int = 0
    asked: int = 0
    predicted: int = 0
    reused: int = 0
    least: int = 0
    generated: int = 0
    generated_after_prune: int = 0
    retractions: int = 0
    live: int = 0
    live_peak: int = 0
    live_mean: float = 0.0
    live_token_seconds: float = 0.0
    published_kv: int = 0
    seconds: float = 0.0

    @property
    def computed(self) -> int:
        """Prompt tokens that the server had to prefill."""
        return self.asked - self.reused

    @property
    def of_least(self) -> float:
        """``computed`` as a multiple of ``least``; 1.0 is the best there can be, and what nothing is too."""
        return self.computed / self.least if self.least else 1.0

    def in_bytes(self, per_token: float) -> LedgerRow:
        """The same row with bytes of KV cache instead of tokens.

        Args:
            per_token: bytes of a token, as :attr:`ServerInfo.kv_bytes_per_token` has them.
        """
        tokens = {name: round(getattr(self, name) * per_token) for name in _TOKENS}
        mean, area = self.live_mean * per_token, self.live_token_seconds * per_token
        return replace(self, **tokens, live_mean=mean, live_token_seconds=area)


_TOKENS = (
    "asked",
    "predicted",
    "reused",
    "least",
    "generated",
    "generated_after_prune",
    "live",
    "live_peak",
    "published_kv",
)
_COLUMNS = (
    "expands",
    "samples",
    "unanswered",
    "asked",
    "reused",
    "computed",
    "least",
    "generated",
    "live",
    "live_peak",
)
_NAME_WIDTH = 30
NO_PROBES = LedgerRow(name="label probes")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a client has cost its server so far; ``print`` shows it as a table.

    Attributes:
        total: of all trees, those that are in no row any more included. Its live tokens are those of all trees
            together, and roots that begin alike share their beginning.
        trees: those that are open, and the last that ended, in the order in which they began. A tree without a scope
            is open until many others came after it.
        probes: label probes, which are in no other row: ``samples`` are prompts with a label behind, and ``asked``,
            ``reused`` and ``unanswered`` are theirs. Nobody predicts them, and the least does not need them.
        cached: tokens that the server should still hold in its cache.
        kv_bytes_per_token: of KV cache, on each GPU; None when the server does not tell it well enough.
    """

    total: LedgerRow
    trees: tuple[LedgerRow, ...]
    cached: int
    kv_bytes_per_token: float | None = None
    probes: LedgerRow = NO_PROBES

    def __str__(self) -> str:
        total = self.total
        rows = [("", *(name.replace("_", " ") for name in _COLUMNS))]
        probed = (self.probes,) if self.probes.samples or self.probes.unanswered else ()
        rows += [_shown(row) for row in (*self.trees, replace(total, name="all"), *probed)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            )
            for row in rows
        ]
        lines.append("")
        lines.append(
            f"computed {total.of_least:.3f} x least; reuse {total.predicted:,} predicted, {total.reused:,} told"
        )
        peak, now, mean = total.live_peak, total.live, total.live_mean
        lines.append(f"live {now:,} tokens{self._bytes(now)}, mean {mean:,.0f}, peak {peak:,}{self._bytes(peak)}")
        lines.append(f"the server should hold {self.cached:,}{self._bytes(self.cached)}")
        lines.append(f"ETS's own KV figure, summed over levels: {total.published_kv:,}")
        return "\n".join(lines)

    def _bytes(self, tokens: int) -> str:
        each = self.kv_bytes_per_token
        return "" if each is None else f" ({tokens * each / 2**20:,.1f} MiB)"


def _shown(row: LedgerRow) -> tuple[str, ...]:
    name = " ".join(row.name.split())
    name = name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"
    return name, *(f"{getattr(row, column):,}" for column in _COLUMNS)
