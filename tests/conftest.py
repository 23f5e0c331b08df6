"""What all tests share: the real server, started once and stopped with them, even when pytest is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import deque
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.live.engine import run_on_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STOP_SECONDS = 60
_OTHER = "live_0_5_23"

# No test is about time: hypothesis' 200 ms an example say no more than that coverage or another process slows us down.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-debug` looks for calls that block the event loop."""
    parser.addoption("--find-blocking", action="store_true", help="an error for each call of ours that blocks a loop")


@pytest.fixture(autouse=True)
def find_blocking(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--find-blocking`, files, sockets, sleeps and locks that block a loop raise where ets_client uses them."""
    if not request.config.getoption("--find-blocking"):
        yield
        return
    from blockbuster import blockbuster_ctx

    # These block by design, and say so; the engine calls them in threads, and the tests as they like.
    blocking = ["ets_client.testing", "ets_client.endpoint", "ets_client.profiles", "ets_client.threads"]
    blocking += ["ets_client._threads", "ets_client.sync_calls", "ets_client.sync_streams", "ets_client.sync_tree"]
    with blockbuster_ctx("ets_client", excluded_modules=blocking) as detector:
        detector.functions["io.BufferedReader.read"].can_block_in("_engine/address.py", "__init__")
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the second version of SGLang out unless `-m` names it: its engine is a large download of its own."""
    if _OTHER in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker(_OTHER)]
    items[:] = [item for item in items if not item.get_closest_marker(_OTHER)]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def live_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The endpoint file of a real SGLang server with the profile `tiny`."""
    yield from _serve(tmp_path_factory.mktemp("live") / "policy.json")


@pytest.fixture(scope="session")
def live_endpoint_0_5_23(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same of SGLang 0.5.23."""
    yield from _serve(tmp_path_factory.mktemp("live_0_5_23") / "policy.json", "--sglang", "0.5.23")


@pytest.fixture(scope="module")
def live_endpoint_smollm2_float32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real server of a trained model, for as long as one module needs it: 4 GB."""
    folder = tmp_path_factory.mktemp("live_smollm2")
    yield from _serve(folder / "policy.json", "--profile", "smollm2", "--", "--dtype", "float32")


@pytest.fixture(scope="module")
def live_endpoint_small_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real server whose cache holds 512 tokens, for as long as one module needs it."""
    yield from _serve(tmp_path_factory.mktemp("live_small") / "policy.json", "--", "--max-total-tokens", "512")


@pytest.fixture(scope="module")
def live_endpoint_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real server with two data-parallel ranks, for as long as one module needs it."""
    yield from _serve(tmp_path_factory.mktemp("live_ranks") / "policy.json", "--dp", "2")


@pytest.fixture(scope="session")
def live_reward_endpoint(live_endpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real server of a random reward model with one output."""
    folder = tmp_path_factory.mktemp("live_reward")
    policy = json.loads(live_endpoint.read_text(encoding="utf-8"))["model"]
    run_on_engine("make_reward.py", policy, str(folder / "model"))
    yield from _serve(folder / "reward.json", "--model", str(folder / "model"), "--", "--is-embedding")


def _serve(endpoint: Path, *flags: str) -> Iterator[Path]:
    tool = os.environ.get("ETS_SERVER")
    if tool is None:
        pytest.fail("live tests need the server tool: run `make test`, or set ETS_SERVER to the path of ets-server")
    name = f"tests-{os.getpid()}-{endpoint.parent.name}"
    profile = [] if "--profile" in flags else ["--profile", "tiny"]
    command = [tool, "run", name, *profile, "--stop-with-parent", "--endpoint-file", str(endpoint), *flags]
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
