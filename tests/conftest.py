"""The real server, started once for all tests that need it and stopped with them, even when pytest is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 900  # the first start ever installs SGLang and makes the model


@pytest.fixture(scope="session")
def live_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The endpoint file of a real SGLang server with the profile `tiny`."""
    folder = tmp_path_factory.mktemp("live")
    endpoint, log = folder / "policy.json", folder / "server.log"
    tool = os.environ.get("ETS_SERVER")
    if tool is None:
        pytest.fail("live tests need the server tool: run `make test`, or set ETS_SERVER to the path of ets-server")
    command = [tool, "run", f"tests-{os.getpid()}", "--profile", "tiny", "--port", "auto", "--stop-with-parent"]
    with log.open("wb") as output:
        server = subprocess.Popen([*command, "--endpoint-file", str(endpoint)], stdout=output, stderr=output)
    try:
        until = time.monotonic() + _START_SECONDS
        while not endpoint.exists():
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)  # polling a file: the tool has no event to wait for
        yield endpoint
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
