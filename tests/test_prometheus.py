from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from ets_client import Ledger, LedgerRow
from ets_client.prometheus import LedgerCollector

ROW = LedgerRow(expands=2, samples=8, asked=1200, reused=1000, least=190, live=300, live_peak=400, published_kv=77)
PROBES = LedgerRow(samples=6, asked=60, reused=50)


class Client:
    def __init__(self, each: float | None) -> None:
        self.ledger = Ledger(ROW, (), 5000, each, PROBES)


def registry(*clients: Client) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(LedgerCollector({str(number): client for number, client in enumerate(clients)}))
    return found


def test_prometheus_reads_what_is_exported() -> None:
    text = generate_latest(registry(Client(2.0))).decode()
    found = {
        sample.name: (sample.value, sample.labels) for family in parse_prometheus(text) for sample in family.samples
    }
    assert found["ets_client_samples_total"] == (8, {"client": "0"})
    assert found["ets_client_computed_tokens_total"][0] == 200
    assert found["ets_client_published_kv_tokens_total"][0] == 77
    probes = [found[f"ets_client_{name}_total"][0] for name in ("probes", "probe_asked_tokens", "probe_reused_tokens")]
    assert probes == [6, 60, 50]
    assert found["ets_client_live_tokens"][0] == 300
    assert found["ets_client_live_peak_tokens"][0] == 400
    assert (found["ets_client_live_bytes"][0], found["ets_client_cached_bytes"][0]) == (600, 10000)
    assert "# TYPE ets_client_asked_tokens_total counter" in text
    assert "# HELP ets_client_live_tokens Tokens on paths in use." in text


def test_openmetrics_reads_what_is_exported_of_several_clients() -> None:
    text = openmetrics(registry(Client(None), Client(None))).decode()  # type: ignore[no-untyped-call]
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples if sample.name == "ets_client_expands_total"]
    assert [(sample.value, sample.labels["client"]) for sample in samples] == [(2, "0"), (2, "1")]
    assert not [family.samples for family in families if "bytes" in family.name and family.samples]
