"""Requests a second of a fake server: ``python -m tests.testing.load [--bare]``. The server has a core of its own."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time

CONNECTIONS = 16


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--new-tokens", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=16)
    given = parser.parse_args()
    command = [sys.executable, "-m", "ets_client.testing", *(["--bare"] if given.bare else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        body = json.dumps(
            {
                "input_ids": list(range(10, 10 + given.prompt_tokens)),
                "sampling_params": {"max_new_tokens": given.new_tokens},
            }
        ).encode()
        request = (
            b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
        rounds = given.requests // CONNECTIONS
        before, used = time.perf_counter(), _cpu_seconds(server.pid)
        for _ in range(rounds):
            for connection in sockets:
                connection.sendall(request)
            for connection in sockets:
                reply = connection.recv(65536)
                assert reply.startswith(b"HTTP/1.1 200"), reply[:200]
                length = int(reply.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                left = length - len(reply.partition(b"\r\n\r\n")[2])
                while left > 0:
                    left -= len(connection.recv(65536))
        seconds, cpu = time.perf_counter() - before, _cpu_seconds(server.pid) - used
        for connection in sockets:
            connection.close()
        number = rounds * CONNECTIONS
        sys.stdout.write(f"{number / seconds:.0f} requests/s, {1e6 * cpu / number:.0f} us of the server's core each\n")
    finally:
        server.terminate()
        server.wait(timeout=10)


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - a pseudo file
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
