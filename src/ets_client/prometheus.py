"""The ledger of a client for Prometheus and OpenMetrics; needs ``ets-client[metrics]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
}
_CALLS = {"expands", "samples", "prefills", "unanswered", "retractions", "live_token_seconds"}  # no counts of tokens


class HasLedger(Protocol):
    """:class:`AsyncPolicyClient` or :class:`PolicyClient`."""

    @property
    def ledger(self) -> Ledger:
        """What it has cost its server."""
        ...


class LedgerCollector(Collector):
    """Shows a client's ledger, all trees together, whenever the registry is asked.

    ::

        REGISTRY.register(LedgerCollector(client, {"job": "rebase"}))

    Counters are ``ets_client_..._total``, gauges ``ets_client_live_tokens``, ``ets_client_live_peak_tokens``,
    ``ets_client_cached_tokens`` and, where the server tells the size of a token, ``ets_client_live_bytes`` and
    ``ets_client_cached_bytes``. It may be asked in any thread, and after the client was closed.
    """

    def __init__(self, client: HasLedger, labels: Mapping[str, str] | None = None) -> None:
        """Make it.

        Args:
            client: whose ledger.
            labels: of every sample, when several clients share a registry: they must differ in one.
        """
        self._client = client
        self._labels = dict(labels or {})

    def collect(self) -> Iterator[Metric]:
        """The families now."""
        ledger, names, values = self._client.ledger, list(self._labels), list(self._labels.values())
        for name, help_text in _COUNTERS.items():
            unit = "" if name in _CALLS else "_tokens"
            counter = CounterMetricFamily(f"ets_client_{name}{unit}", help_text, labels=names)
            counter.add_metric(values, getattr(ledger.total, name))
            yield counter
        gauges: list[tuple[str, str, float]] = [
            ("live_tokens", "Tokens on paths in use.", ledger.total.live),
            ("live_peak_tokens", "The most tokens on paths in use at once.", ledger.total.live_peak),
            ("cached_tokens", "Tokens that the server should hold in its cache.", ledger.cached),
        ]
        if (each := ledger.kv_bytes_per_token) is not None:
            gauges.append(("live_bytes", "KV cache of paths in use, on each GPU.", ledger.total.live * each))
            gauges.append(("cached_bytes", "KV cache that should be held, on each GPU.", ledger.cached * each))
        for name, help_text, value in gauges:
            gauge = GaugeMetricFamily(f"ets_client_{name}", help_text, labels=names)
            gauge.add_metric(values, value)
            yield gauge
