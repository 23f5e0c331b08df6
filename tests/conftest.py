"""The real server, started once for all tests that need it and stopped with them, even when pytest is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from threading import Thread
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STOP_SECONDS = 60


@pytest.fixture(scope="session")
def live_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The endpoint file of a real SGLang server with the profile `tiny`."""
    endpoint = tmp_path_factory.mktemp("live") / "policy.json"
    tool = os.environ.get("ETS_SERVER")
    if tool is None:
        pytest.fail("live tests need the server tool: run `make test`, or set ETS_SERVER to the path of ets-server")
    command = [tool, "run", f"tests-{os.getpid()}", "--profile", "tiny", "--stop-with-parent"]
    command += ["--endpoint-file", str(endpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        last = deque[str](maxlen=60)
        try:
            for line in server.stdout:  # the tool bounds the wait itself
                last.append(line)
                if endpoint.exists():
                    break
            else:
                pytest.fail(f"the server did not start:\n{''.join(last)}")
            Thread(target=deque, args=(server.stdout, 0), daemon=True).start()  # a full pipe would stop the server
            yield endpoint
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
