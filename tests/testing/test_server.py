from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import ets_client.testing as public
from ets_client import (
    AsyncPolicyClient,
    Endpoint,
    InvalidRequestError,
    RetryPolicy,
    SamplingParams,
    ServerFaultError,
)
from ets_client.testing import (
    Costs,
    FakeOptions,
    FakeServer,
    FaultPlan,
    QueueFull,
    Refuse,
    Reset,
    ScriptedModel,
    ServerError,
    VirtualClock,
)
from tests.testing.conftest import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]
QUICK = RetryPolicy(first_wait=0, most_wait=0)


def test_everything_exported_exists() -> None:
    assert sorted(public.__all__) == list(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)


async def test_the_client_expands_and_reuses_its_prefixes() -> None:
    async with (
        FakeServer(FakeOptions(schedule_policy="lpm")) as server,
        AsyncPolicyClient(server.base_url, profile="tiny") as client,
    ):
        root = await client.root("1 + 1?")
        first = await client.expand(root, n=4)
        assert len({branch.text for branch in first.branches}) > 1
        parent = max(first.branches, key=lambda branch: len(branch.token_ids))
        second = await client.expand(parent.prefix, n=3)
        assert [each.usage.cached_tokens for each in second.branches] == [len(parent.prefix) - 1] * 3
        metrics = await client.metrics()
        assert metrics.prefilled_tokens == server.scheduler.counts["prefill_compute"]
        assert metrics.generated_tokens == server.scheduler.counts["generated"]
        assert server.registered_rids == frozenset()


async def test_the_client_gets_through_faults() -> None:
    faults = FaultPlan().on(QueueFull(), nth=1).on(Reset(10), nth=2)
    async with (
        FakeServer(faults=faults, model=ScriptedModel("It is 2.\n\nSure.")) as server,
        AsyncPolicyClient(server.base_url, profile="tiny", retry=QUICK) as client,
    ):
        expansion = await client.expand(await client.root("1 + 1?"), n=1)
        assert expansion.branches[0].text == "It is 2."
        faults.on(ServerError())
        with pytest.raises(ServerFaultError):
            await client.expand(await client.root("2 + 2?"), n=1)


async def test_a_cancelled_expand_leaves_nothing_running() -> None:
    clock = VirtualClock()
    async with (
        FakeServer(clock=clock, costs=Costs(decode_step=1)) as server,
        AsyncPolicyClient(server.base_url, profile="tiny") as client,
    ):
        root = await client.root("1 + 1?")
        call = asyncio.ensure_future(client.expand(root, n=4))
        await eventually(lambda: bool(server.scheduler.running))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await eventually(lambda: server.count("/abort_request") > 0)
        await clock.advance(1.0)
        assert server.scheduler.is_idle


async def test_the_client_guards_the_server_from_what_kills_it() -> None:
    async with FakeServer() as server, AsyncPolicyClient(server.base_url, profile="tiny") as client:
        for bad in ([5000], [-1], [], ""):
            with pytest.raises(InvalidRequestError):
                await client.prefix(bad)
        assert server.died is None


async def test_an_endpoint_file_tells_one_start_from_the_next(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    async with FakeServer(FakeOptions(api_key="secret")) as server:
        written = server.endpoint(path, profile="tiny")
        assert Endpoint.read(path) == written
        async with AsyncPolicyClient.from_endpoint(path) as client:
            await client.root("1 + 1?")
        await server.restart()
        assert server.endpoint(path).start_id != written.start_id


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_was_accepted_just_before_a_kill_is_closed_too(turns: int) -> None:
    async with FakeServer() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.kill()
            client.setblocking(False)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 10) == b""


async def test_a_connection_that_was_accepted_just_before_a_refusal_is_closed_too() -> None:
    async with FakeServer(faults=FaultPlan().on(Refuse(0.01), None)) as server:
        address = "127.0.0.1", server.port
        with socket.create_connection(address) as first:
            await eventually(lambda: server.open_connections == 1)
            with socket.create_connection(address) as second:
                first.sendall(b"GET /ping HTTP/1.1\r\n\r\n")  # read in the turn in which the second is accepted
                for client in (first, second):
                    client.setblocking(False)
                    with contextlib.suppress(ConnectionResetError):
                        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 10) == b""
        await eventually(lambda: "up" in repr(server))


def test_a_server_in_a_thread_serves_blocking_callers() -> None:
    with FakeServer() as server:
        with urllib.request.urlopen(f"{server.base_url}/model_info", timeout=60) as reply:
            assert json.load(reply)["is_generation"]
        assert "up" in repr(server)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.base_url)


async def test_a_server_in_a_thread_may_be_used_while_a_loop_runs() -> None:
    with FakeServer() as server:
        async with AsyncPolicyClient(server.base_url, "tiny") as client:
            assert len(await client.expand("2 + 2 =", 2)) == 2


async def test_a_stream_in_virtual_time_has_each_token_at_its_time() -> None:
    clock, step = VirtualClock(), SamplingParams(max_new_tokens=5, ignore_eos=True, stop="never, ever")
    async with (
        FakeServer(clock=clock, costs=Costs(decode_step=0.5)) as server,
        AsyncPolicyClient(server.base_url, "tiny") as client,
    ):
        root = await client.prefix([97] * 20)

        async def times() -> list[tuple[float, int]]:
            async with client.stream(root, step) as stream:
                return [(clock.now(), len(delta.token_ids)) async for delta in stream]

        assert await clock.run(times()) == [(0.0, 1), (0.5, 1), (1.0, 1), (1.5, 1), (2.0, 1)]


def test_a_port_that_is_taken_is_told_to_the_caller() -> None:
    with FakeServer() as server, pytest.raises(OSError, match="in use"), FakeServer(port=server.port):
        pass


@pytest.mark.parametrize("arguments", [["--sglang-version", "0.5.23", "--options", '{"page_size": 16}'], ["--bare"]])
def test_a_server_in_a_process_prints_its_address(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ets_client.testing", *arguments, "--endpoint-file", str(tmp_path / "e.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            told: dict[str, Any] = json.loads(process.stdout.readline())
            assert httpx.get(f"{told['base_url']}/server_info").status_code == 200
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0


def test_the_plugin_gives_servers_that_end_with_the_test(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        """
        import urllib.request
        from ets_client.testing import FakeOptions

        seen = []

        def test_one(fake_sglang):
            seen.append(fake_sglang)
            assert urllib.request.urlopen(fake_sglang.base_url + "/ping").status == 200

        def test_factory(fake_sglang_factory):
            assert "down" in repr(seen[0])
            one, two = fake_sglang_factory(), fake_sglang_factory(FakeOptions(page_size=16))
            assert one.port != two.port
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
