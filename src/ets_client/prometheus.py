"""The ledger of a client for Prometheus and OpenMetrics; needs ``ets-client[metrics]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from .ledger import Ledger

__all__ = ["HasLedger", "LedgerCollector"]

_COUNTERS = {
    "expands": "Calls that sample.",
    "samples": "Samples of which a reply came.",
    "prefills": "Requests without output of which a reply came.",
    "unanswered": "Samples and prefills of which no reply came.",
    "asked": "Prompt tokens sent.",
    "predicted": "Prompt tokens that the server should have found in its cache.",
    "reused": "Prompt tokens that the server says it found in its cache.",
    "computed": "Prompt tokens that the server prefilled.",
    "least": "The fewest prompt tokens that the same samples can cost.",
    "generated": "Tokens generated.",
    "generated_after_prune": "Tokens generated on paths that had been pruned.",
    "retractions": "Times that the server took a running sample's room.",
    "live_token_seconds": "Tokens on paths in use, summed over time.",
    "published_kv": "ETS's own KV figure, summed over levels and trees.",
}
_PROBES = {
    "probes": ("Label probes of which a reply came.", "samples"),
    "probe_asked_tokens": ("Tokens of label probes.", "asked"),
    "probe_reused_tokens": ("Of these, tokens that the server says it found in its cache.", "reused"),
}
_CALLS = {"expands", "samples", "prefills", "unanswered", "retractions", "live_token_seconds"}  # no counts of tokens
_GAUGES: dict[str, tuple[str, Callable[[Ledger], float | None]]] = {
    "live_tokens": ("Tokens on paths in use.", lambda ledger: ledger.total.live),
    "live_peak_tokens": ("The most tokens on paths in use at once.", lambda ledger: ledger.total.live_peak),
    "cached_tokens": ("Tokens that the server should hold in its cache.", lambda ledger: ledger.cached),
    "live_bytes": ("KV cache of paths in use, on each GPU.", lambda ledger: _bytes(ledger, ledger.total.live)),
    "cached_bytes": ("KV cache that should be held, on each GPU.", lambda ledger: _bytes(ledger, ledger.cached)),
}


def _bytes(ledger: Ledger, tokens: int) -> float | None:
    return None if ledger.kv_bytes_per_token is None else tokens * ledger.kv_bytes_per_token


class HasLedger(Protocol):
    """:class:`AsyncPolicyClient` or :class:`PolicyClient`."""

    @property
    def ledger(self) -> Ledger:
        """What it has cost its server."""
        ...


class LedgerCollector(Collector):
    """Shows the ledgers of clients, all trees of each together, whenever the registry is asked.

    ::

        REGISTRY.register(LedgerCollector({"policy": client}))

    Counters are ``ets_client_..._total``, gauges ``ets_client_live_tokens``, ``ets_client_live_peak_tokens``,
    ``ets_client_cached_tokens`` and, where the server tells the size of a token, ``ets_client_live_bytes`` and
    ``ets_client_cached_bytes``, each with the label ``client``. It may be asked in any thread, and after a client was
    closed.
    """

    def __init__(self, clients: Mapping[str, HasLedger]) -> None:
        """Make it.

        Args:
            clients: each under the name that its samples are labelled with. One collector shows them all: a registry
                takes no second one with the same names.
        """
        self._clients = dict(clients)

    def collect(self) -> Iterator[Metric]:
        """The families now."""
        ledgers = {name: client.ledger for name, client in self._clients.items()}
        for field, help_text in _COUNTERS.items():
            unit = "" if field in _CALLS else "_tokens"
            counter = CounterMetricFamily(f"ets_client_{field}{unit}", help_text, labels=["client"])
            for name, ledger in ledgers.items():
                counter.add_metric([name], getattr(ledger.total, field))
            yield counter
        for metric, (help_text, field) in _PROBES.items():
            counter = CounterMetricFamily(f"ets_client_{metric}", help_text, labels=["client"])
            for name, ledger in ledgers.items():
                counter.add_metric([name], getattr(ledger.probes, field))
            yield counter
        for metric, (help_text, value_of) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"ets_client_{metric}", help_text, labels=["client"])
            for name, ledger in ledgers.items():
                if (value := value_of(ledger)) is not None:
                    gauge.add_metric([name], value)
            yield gauge
