from __future__ import annotations

from dataclasses import replace

from ets_client import Ledger, LedgerRow

ROW = LedgerRow(name="two\nwords", expands=2, samples=8, asked=1200, predicted=990, reused=1000, least=190, live=300)
ROW = replace(ROW, published_kv=1234)
ROW_WITH_TIME = LedgerRow(live=5, live_peak=9, live_mean=2.5, live_token_seconds=10.0, seconds=4.0, samples=3)


def test_what_was_computed_is_what_was_not_reused() -> None:
    assert ROW.computed == 200
    assert ROW.of_least == 200 / 190
    assert LedgerRow().of_least == 1.0


def test_a_row_in_bytes_scales_tokens_and_nothing_else() -> None:
    row = ROW_WITH_TIME.in_bytes(2.5)
    assert (row.live, row.live_peak, row.live_mean, row.live_token_seconds) == (12, 22, 6.25, 25.0)
    assert (row.seconds, row.samples) == (4.0, 3)
    assert ROW.in_bytes(2).computed == 400


def test_a_ledger_prints_as_a_table() -> None:
    lines = str(Ledger(ROW, (ROW, LedgerRow(name="x" * 99)), 5000, 131072.0)).splitlines()
    assert lines[0].split() == [
        "expands",
        "samples",
        "unanswered",
        "asked",
        "reused",
        "computed",
        "least",
        "generated",
        "live",
        "live",
        "peak",
    ]
    assert lines[1].split()[:6] == ["two", "words", "2", "8", "0", "1,200"]
    assert lines[2].split()[0] == "…" + "x" * 29
    assert lines[3].split()[0] == "all"
    assert lines[5] == "computed 1.053 x least; reuse 990 predicted, 1,000 told"
    assert lines[6] == "live 300 tokens (37.5 MiB), mean 0, peak 0 (0.0 MiB)"
    assert lines[7] == "the server should hold 5,000 (625.0 MiB)"
    assert lines[8] == "ETS's own KV figure, summed over levels: 1,234"
    probed = Ledger(ROW, (), 5000, probes=LedgerRow(name="label probes", samples=6))
    assert str(probed).splitlines()[2].split()[:5] == ["label", "probes", "0", "6", "0"]
    assert "MiB" not in str(Ledger(ROW, (), 5000))
