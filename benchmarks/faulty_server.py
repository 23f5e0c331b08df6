"""A fake server in a process of its own, whose faults are changed while it runs; for `faults.py` and `soak.py`.

It reads lines of JSON: `{"faults": [["Reset", {"after": 30}, {"probability": 0.01}], ...]}` puts those in the
place of the faults so far, and each line is answered with one that tells what the server has seen.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ets_client import testing
from ets_client.testing import Costs, FakeOptions, FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class FaultyServer:
    """The other end of the pipe."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.pid = process.pid
        self.url = url

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order, and learn what the server has seen."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def faults(self, *rules: tuple[str, dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
        """Put these faults in the place of those so far."""
        return self.ask(faults=rules)


@contextmanager
def faulty_server(costs: dict[str, float] | None = None, **options: Any) -> Iterator[FaultyServer]:
    """A server for as long as the context lasts."""
    given = json.dumps({"costs": costs or {}, "options": options})
    command = [sys.executable, str(Path(__file__).resolve()), given]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield FaultyServer(process, json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()


def fault_of(name: str, fields: dict[str, Any]) -> Any:
    if name == "Raw" and "size" in fields:
        return testing.Raw(fields["head"].encode("latin-1") + b"a" * fields["size"] + b"\r\n\r\n")
    return getattr(testing, name)(**fields)


async def serve(given: dict[str, Any]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with FakeServer(FakeOptions(**given["options"]), costs=Costs(**given["costs"])) as server:
        print(json.dumps({"url": server.base_url}), flush=True)
        while line := await reader.readline():
            order = json.loads(line)
            if "faults" in order:
                server.faults.clear()
                for name, fields, rule in order["faults"]:
                    server.faults.on(fault_of(name, fields), **rule)
            seen = {
                "generate": server.count("/generate"),
                "aborts": server.count("/abort_request"),
                "active": len(server.scheduler.active),
                "open": server.open_connections,
                "rids": len(server.registered_rids),
            }
            print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
