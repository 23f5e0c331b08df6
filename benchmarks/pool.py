"""Connection pools side by side: `python benchmarks/pool.py [OUT.json]`; `--help` tells how to run a part, and how to
put parts together.

Every client runs in its own process against one server in another, one at a time, in rounds that are interleaved: only
ratios within one run mean anything. Medians of the rounds. A closed loop keeps so many requests under way; each has a
prompt of 512 ids and a reply of four tokens a sample, and everyone pays for its JSON. A row in which the server's own
core was over 80 % busy is void: it tells how fast the server is.

Needs `pip install ets-client[bench]`. The plot is written beside the JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

from machine import where
from pool_clients import CLIENTS

HERE = Path(__file__).parent
SERVERS = {"instant": (0.0, 0.0), "500 ms": (0.5, 0.0), "250-750 ms": (0.25, 0.5)}  # delay, jitter
IN_FLIGHT = (1, 16, 64, 256, 1024, 4096)
BUSY = 0.8
# What they have been seen to take makes a run at more pointless: they answer a few dozen requests a second there.
MOST_IN_FLIGHT = {"httpx": 256, "openai-python": 1024}
CHURN = "connections_of_60_workers_with_20_requests"
PACKAGES = ("aiohttp", "httpx", "httpx-aiohttp", "httptools", "openai", "orjson", "uvloop")


class Server:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[str], ports: dict[str, int]) -> None:
        self._process = process
        self.ports = ports

    def done(self) -> dict[str, float]:
        """What it has done so far."""
        return ask(self._process)


@contextmanager
def serving(name: str) -> Iterator[Server]:
    delay, jitter = SERVERS[name]
    with started("lean_server.py", delay, jitter) as process:
        yield Server(process, json.loads(read(process)))


@contextmanager
def started(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def ask(process: subprocess.Popen[str]) -> Any:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return json.loads(read(process))


def run_once(server: Server, client: str, in_flight: int, seconds: float, most: int = 0) -> dict[str, Any]:
    """One client, once."""
    port, _ = CLIENTS[client]
    before = server.done()
    with started("pool_clients.py", client, server.ports[port], in_flight, seconds, most) as process:
        if read(process) != "ready\n":
            raise SystemExit(f"{client} did not start")
        start = server.done()
        result = ask(process)
        end = server.done()
    result["connections"] = end["connections"] - before["connections"]
    result["server_busy"] = (end["cpu"] - start["cpu"]) / (end["wall"] - start["wall"])
    return dict(result)


def middle(rounds: list[dict[str, Any]], name: str) -> float | None:
    values = [one[name] for one in rounds if one[name] is not None]
    return statistics.median(values) if values else None


def rows_of(given: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in given.servers:
        with serving(name) as server:
            for in_flight in given.in_flight:
                clients = [client for client in given.clients if in_flight <= MOST_IN_FLIGHT.get(client, in_flight)]
                rounds: dict[str, list[dict[str, Any]]] = {client: [] for client in clients}
                for number in range(given.rounds):
                    turn = number % len(clients)
                    for client in clients[turn:] + clients[:turn]:
                        rounds[client].append(run_once(server, client, in_flight, given.seconds))
                for client in clients:
                    rows.append(row(name, in_flight, client, rounds[client]))
                    show(rows[-1])
    return rows


def row(server: str, in_flight: int, client: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    delay, jitter = SERVERS[server]
    result: dict[str, Any] = {"server": server, "in_flight": in_flight, "client": client}
    for name in ("rate", "cpu_us", "p50_ms", "p99_ms", "connections", "server_busy"):
        value = middle(rounds, name)
        result[name] = None if value is None else round(value, 3)
    if delay + jitter:
        result["share_of_ideal"] = round(result["rate"] * (delay + jitter / 2) / in_flight, 3)
    result["is_void"] = result["server_busy"] > BUSY
    result["cpu_us_of_rounds"] = [round(one["cpu_us"], 1) for one in rounds]
    return result


def show(found: dict[str, Any]) -> None:
    share = f"{found['share_of_ideal']:.2f} of ideal" if "share_of_ideal" in found else ""
    void = "VOID" if found["is_void"] else ""
    print(
        f"{found['server']:>10} {found['in_flight']:>5} {found['client']:<22} {found['rate']:>9.0f}/s "
        f"{found['cpu_us']:>9.1f} us  p50 {found['p50_ms'] or 0:>8.1f} ms  p99 {found['p99_ms'] or 0:>8.1f} ms  "
        f"{found['connections']:>5.0f} opened  server {found['server_busy']:.0%} busy {share} {void}",
        flush=True,
    )


def churn_of(given: argparse.Namespace) -> dict[str, int]:
    """Connections that 60 workers with 20 requests each open, by client, with its own limits."""
    with serving("250-750 ms") as server:
        return {client: run_once(server, client, 60, 60.0, 1200)["connections"] for client in given.clients}


def ratios_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is compared with a bar: CPU over aiohttp's, and the rate at 1,024 over that at 16."""
    by = {(found["server"], found["in_flight"], found["client"]): found for found in rows}
    over: dict[str, dict[str, float]] = {}
    for (server, in_flight, client), found in by.items():
        peer = by.get((server, in_flight, "aiohttp + orjson"))
        if peer is not None and server == "instant":
            samples = 8 if client.endswith("(n=8)") else 1
            share = found["cpu_us"] / samples / peer["cpu_us"]
            over.setdefault(f"{client}{', a sample' if samples > 1 else ''}", {})[str(in_flight)] = round(share, 3)
    kept = {
        client: round(many["rate"] / by["instant", 16, client]["rate"], 3)
        for (server, in_flight, client), many in by.items()
        if server == "instant" and in_flight == 1024 and ("instant", 16, client) in by
    }
    return {"cpu_over_aiohttp_instant": over, "rate_at_1024_over_rate_at_16": kept}


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    servers = list(dict.fromkeys(found["server"] for found in rows))
    figure, axes = plt.subplots(1, len(servers), figsize=(6 * len(servers), 4.5), squeeze=False, layout="constrained")
    for panel, server in zip(axes[0], servers, strict=True):
        name = "cpu_us" if server == "instant" else "share_of_ideal"
        for client in dict.fromkeys(found["client"] for found in rows):
            found = [one for one in rows if (one["server"], one["client"]) == (server, client)]
            line = panel.plot(
                [one["in_flight"] for one in found], [one[name] for one in found], marker="o", label=client
            )
            void = [one for one in found if one["is_void"]]
            panel.plot(
                [one["in_flight"] for one in void], [one[name] for one in void], "x", ms=12, color=line[0].get_color()
            )
        panel.set(xscale="log", xlabel="requests in flight", title=f"server: {server}")
        panel.set_ylabel("client CPU a request, µs" if name == "cpu_us" else "share of the ideal rate")
        panel.set(**({"yscale": "log"} if name == "cpu_us" else {"ylim": (0, 1.05)}))
        panel.grid(visible=True, alpha=0.3)
    axes[0][0].legend(fontsize=8)
    figure.suptitle("x: the server's core was over 80 % busy", fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, help="JSON to write; the plot goes beside it")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--in-flight", nargs="+", type=int, default=list(IN_FLIGHT))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of one run of one client, after half of it as warm-up"
    )
    parser.add_argument("--no-churn", action="store_true", help="do not count connections of 60 workers")
    parser.add_argument("--only-churn", action="store_true", help="count them and do nothing else")
    parser.add_argument("--merge", nargs="+", type=Path, metavar="PART.json", help="measure nothing: read these")
    given = parser.parse_args()
    report = merged(given.merge) if given.merge else measured(given)
    print(json.dumps({name: value for name, value in report.items() if name != "rows"}, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if report["rows"]:
            plot(report["rows"], given.out.with_suffix(".png"))


def measured(given: argparse.Namespace) -> dict[str, Any]:
    rows = [] if given.only_churn else rows_of(given)
    churn = {} if given.no_churn else churn_of(given)
    return where("pool") | {
        "packages": {package: version(package) for package in PACKAGES},
        "rounds": given.rounds,
        "seconds": given.seconds,
        "ratios": ratios_of(rows),
        CHURN: churn,
        "rows": rows,
    }


def merged(parts: list[Path]) -> dict[str, Any]:
    """Parts that were measured one after the other on one machine, as one."""
    reports = [json.loads(part.read_text(encoding="utf-8")) for part in parts]
    rows = [one for report in reports for one in report["rows"]]
    servers = list(SERVERS)
    rows.sort(key=lambda one: (servers.index(one["server"]), one["in_flight"], list(CLIENTS).index(one["client"])))
    churn = {client: count for report in reports for client, count in report[CHURN].items()}
    machines = {"machines": [report["machine"] for report in reports]}
    return reports[0] | machines | {"ratios": ratios_of(rows), CHURN: churn, "rows": rows}


if __name__ == "__main__":
    main()
