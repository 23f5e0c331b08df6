from __future__ import annotations

import asyncio
import inspect
import threading
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    EndReason,
    InvalidRequestError,
    LabelProbs,
    PolicyClient,
    RetryPolicy,
    SamplingParams,
    ServerFaultError,
    ServerUnreachableError,
    TreeClosedError,
)
from ets_client.testing import Costs, FakeOptions, FakeServer, FaultPlan, ServerError
from tests.threads.waiting import BOUND, interrupt_main_thread_when, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ets_client.pytest_plugin import FakeServerFactory

QUICK = RetryPolicy(first_wait=0, most_wait=0)
ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")  # 75 s at the costs of `slow`
RENAMED = {"aclose": "close"}


def calls(client: type) -> dict[str, Any]:
    return {name: each for name, each in inspect.getmembers(client) if not name.startswith("_")}


@pytest.fixture
def server(fake_sglang: FakeServer) -> FakeServer:
    return fake_sglang


@pytest.fixture
def client(server: FakeServer) -> Iterator[PolicyClient]:
    with PolicyClient(server.base_url, "tiny") as opened:
        yield opened


@pytest.fixture
def slow(fake_sglang_factory: FakeServerFactory) -> FakeServer:
    return fake_sglang_factory(costs=Costs(decode_step=0.05))


def generates(server: FakeServer) -> Callable[[], bool]:
    return lambda: bool(server.scheduler.running)


def is_quiet(server: FakeServer) -> Callable[[], bool]:
    """Nothing generates there, and no request is left."""
    return lambda: server.scheduler.is_idle and not server.registered_rids


class TestBothClientsAgree:
    def test_in_the_names_of_their_calls(self) -> None:
        asynchronous = {RENAMED.get(name, name) for name in calls(AsyncPolicyClient)}
        assert set(calls(PolicyClient)) == asynchronous | {"submit_expand"}

    @pytest.mark.parametrize("name", sorted(calls(AsyncPolicyClient).keys() - RENAMED))
    def test_in_signatures(self, name: str) -> None:
        theirs, ours = calls(AsyncPolicyClient)[name], calls(PolicyClient)[name]
        if isinstance(theirs, property):
            theirs, ours = theirs.fget, ours.fget
        expected, found = inspect.signature(theirs), inspect.signature(ours)
        assert list(found.parameters.values()) == list(expected.parameters.values())
        returned = expected.return_annotation
        blocking = f"Sync{returned}" if returned in {"BranchStream", "TextStream", "Tree"} else returned
        assert found.return_annotation == blocking
        assert not inspect.iscoroutinefunction(ours)

    def test_in_the_signature_of_what_is_submitted(self) -> None:
        expected, found = inspect.signature(AsyncPolicyClient.expand), inspect.signature(PolicyClient.submit_expand)
        assert list(found.parameters.values()) == list(expected.parameters.values())
        assert found.return_annotation == f"Future[{expected.return_annotation}]"

    def test_in_their_arguments(self) -> None:
        assert inspect.signature(PolicyClient) == inspect.signature(AsyncPolicyClient)

    def test_and_calls_know_their_names(self) -> None:
        assert PolicyClient.expand.__name__ == "expand"
        assert "Sample ``n`` next steps" in (PolicyClient.expand.__doc__ or "")


class TestCalls:
    def test_a_search_step_by_step(self, client: PolicyClient) -> None:
        root = client.root("How many?")
        assert client.warm(root).prompt_tokens == len(root)
        expansion = client.expand(root, n=4, sampling=SamplingParams(max_new_tokens=8))
        assert len(expansion) == 4
        short = SamplingParams(max_new_tokens=4, ignore_eos=True)
        assert client.generate(expansion[0], short).end is EndReason.STEP_LENGTH
        (outcome,) = client.label_probs([root], [43, 45])
        assert isinstance(outcome, LabelProbs)
        assert client.detokenize(client.tokenize("some text")) == "some text"
        assert client.prefix("text", namespace="own").origin.namespace == "own"

    def test_about_the_server(self, client: PolicyClient, server: FakeServer) -> None:
        assert client.server_info() == client.capabilities
        assert client.model_info().is_generation
        assert client.loads()[0].running_requests == 0
        assert client.metrics().running_requests == 0
        assert client.health()
        assert client.ready()
        client.flush_cache()
        client.abort("some-rid")
        assert server.count("/abort_request") == 1
        assert client.profile.name == "tiny"
        assert repr(client).startswith(f"PolicyClient({server.base_url}, tiny")

    def test_errors_are_those_of_the_async_client(self, fake_sglang_factory: FakeServerFactory) -> None:
        broken = fake_sglang_factory(faults=FaultPlan().on(ServerError()))
        with PolicyClient(broken.base_url, "tiny", retry=QUICK) as client:
            with pytest.raises(InvalidRequestError, match="n = 0"):
                client.expand("x", n=0)
            with pytest.raises(ServerFaultError) as caught:
                client.expand("x")
            assert caught.value.attempts[0].kind == "crash"
            assert caught.value.status == 500

    def test_an_endpoint_file_names_the_server(self, server: FakeServer, tmp_path: Path) -> None:
        server.endpoint(tmp_path / "policy.json", profile="tiny")
        with PolicyClient.from_endpoint(tmp_path / "policy.json") as client:
            assert client.ready()

    def test_threads_share_one_prefill_and_one_pool(self, server: FakeServer) -> None:
        with PolicyClient(server.base_url, "tiny", connections=8) as client, ThreadPoolExecutor(64) as pool:
            root = client.root("How many?")
            expansions = list(pool.map(lambda _: client.expand(root, n=2), range(256)))
        assert [len(expansion) for expansion in expansions] == [2] * 256
        assert server.count("/generate") == 1 + 256
        assert server.connections <= 8 + 4


class TestStreams:
    def test_branches_come_as_they_end(self, client: PolicyClient) -> None:
        root = client.root("Some are short and some are long.")
        with client.expand_iter(root, 8, SamplingParams(max_new_tokens=24)) as branches:
            found = list(branches)
            assert sorted(branch.rid for branch in found) == sorted(branches.rids)
        lengths = [len(branch.token_ids) for branch in found]
        assert lengths == sorted(lengths)
        assert len(list(client.expand_iter(root, 3))) == 3

    def test_text_comes_while_it_is_written(self, client: PolicyClient) -> None:
        with client.stream("Once", SamplingParams(max_new_tokens=6, ignore_eos=True)) as stream:
            with pytest.raises(ConfigurationError, match="has not ended"):
                _ = stream.branch
            ids = [token for delta in stream for token in delta.token_ids]
        assert list(stream.branch.token_ids) == ids

    def test_leaving_stops_what_has_not_ended(self, slow: FakeServer) -> None:
        with PolicyClient(slow.base_url, "tiny") as client:
            with client.expand_iter("x", 4, ENDLESS) as branches:
                until(generates(slow))  # SGLang forgets an abort that comes before its request
                client.abort(branches.rids[0])
                for branch in branches:
                    assert branch.end is EndReason.ABORTED
                    break
            until(is_quiet(slow))
            assert slow.count("/abort_request") == 1 + 3

    def test_an_interrupt_while_waiting_for_a_branch_stops_them_all(self, slow: FakeServer) -> None:
        with PolicyClient(slow.base_url, "tiny") as client:
            interrupt_main_thread_when(generates(slow))
            with pytest.raises(KeyboardInterrupt), client.expand_iter("x", 4, ENDLESS) as branches:
                list(branches)
            until(is_quiet(slow))
            assert client.ready()

    def test_closing_the_client_inside_a_stream_is_clean(self, slow: FakeServer) -> None:
        client = PolicyClient(slow.base_url, "tiny")
        with client, client.stream("x", ENDLESS) as stream:
            client.close()
            with pytest.raises(ConfigurationError, match="closed"):
                list(stream)
        until(is_quiet(slow))

    def test_it_must_be_entered_and_once(self, client: PolicyClient) -> None:
        stream = client.stream("x")
        with pytest.raises(ConfigurationError, match="enter the stream first: `with"):
            list(stream)
        with stream, pytest.raises(ConfigurationError, match="entered before"):
            stream.__enter__()


class TestSubmit:
    def test_futures_end_as_the_expands_do(self, client: PolicyClient) -> None:
        futures = [client.submit_expand(f"question {number}", n=number) for number in range(1, 9)]
        assert sorted(len(future.result()) for future in as_completed(futures, BOUND)) == list(range(1, 9))
        with pytest.raises(InvalidRequestError):
            client.submit_expand("x", n=0).result(BOUND)

    def test_cancelling_one_stops_its_samples_on_the_server(self, slow: FakeServer) -> None:
        with PolicyClient(slow.base_url, "tiny") as client:
            future = client.submit_expand("x", 4, ENDLESS)
            until(lambda: len(slow.scheduler.running) == 4)
            assert future.cancel()
            until(is_quiet(slow))
            assert slow.count("/abort_request") == 4
            with pytest.raises(CancelledError):
                future.result(BOUND)


class TestTheEnd:
    def test_ctrl_c_stops_the_samples_on_the_server(self, slow: FakeServer) -> None:
        interrupt_main_thread_when(generates(slow))
        with pytest.raises(KeyboardInterrupt), PolicyClient(slow.base_url, "tiny") as client:
            client.expand("x", 4, ENDLESS)
        until(is_quiet(slow))
        assert slow.count("/abort_request") in {4, 8}  # closing repeats those of requests that went out just now
        until(lambda: slow.open_connections == 0)
        assert "ets_client" not in [thread.name for thread in threading.enumerate()]

    def test_closing_ends_the_waiting_threads_with_an_error_and_stops_their_samples(self, slow: FakeServer) -> None:
        client = PolicyClient(slow.base_url, "tiny")
        with ThreadPoolExecutor(4) as pool, client:
            waiting = [pool.submit(client.expand, "x", 2, ENDLESS) for _ in range(4)]
            until(lambda: len(slow.scheduler.running) == 8)
            client.close()
            for call in waiting:
                with pytest.raises(ConfigurationError, match="closed by another thread"):
                    call.result(BOUND)
        until(is_quiet(slow))
        with pytest.raises(ConfigurationError, match="make a new one"):
            client.expand("x")
        with pytest.raises(ConfigurationError, match="make a new one"):
            client.__enter__()

    def test_before_the_beginning_it_says_how_to_open_it(self) -> None:
        client = PolicyClient()
        for use in (lambda: client.expand("x"), lambda: client.submit_expand("x"), lambda: client.profile):
            with pytest.raises(ConfigurationError, match=r"with PolicyClient\(...\) as client"):
                use()
        with pytest.raises(ConfigurationError, match="not open"), client.expand_iter("x"):
            pass
        client.close()

    def test_without_a_server_nothing_is_left_running(self, server: FakeServer) -> None:
        url = server.base_url
        server.__exit__(None, None, None)
        client = PolicyClient(url, "tiny", retry=QUICK)
        with pytest.raises(ServerUnreachableError):
            client.__enter__()
        assert "ets_client" not in [thread.name for thread in threading.enumerate()]
        server.__enter__()

    def test_a_lost_client_warns_and_ends_its_thread(self, server: FakeServer) -> None:
        client = PolicyClient(server.base_url, "tiny").__enter__()
        loop_thread = client._loop_thread
        with pytest.warns(ResourceWarning, match="was not closed"):
            del client
        loop_thread.join(BOUND)
        assert loop_thread._loop.is_closed()


class TestBeside:
    def test_two_async_clients_and_64_threads_in_one_process(self, server: FakeServer) -> None:
        sampling, seen = SamplingParams(max_new_tokens=4, ignore_eos=True), Counter[str]()

        async def search(name: str) -> None:
            async with AsyncPolicyClient(server.base_url, "tiny", connections=16) as client:
                root = await client.root(f"question of {name}")
                expansions = await asyncio.gather(*(client.expand(root, 2, sampling) for _ in range(128)))
                seen[name] = sum(map(len, expansions))

        def search_with_threads(client: PolicyClient, number: int) -> int:
            root = client.root(f"question of thread {number}")
            return sum(len(client.expand(root, 2, sampling)) for _ in range(4))

        loops = [threading.Thread(target=asyncio.run, args=(search(name),)) for name in ("one", "two")]
        with PolicyClient(server.base_url, "tiny", connections=16) as client, ThreadPoolExecutor(64) as pool:
            for loop in loops:
                loop.start()
            found = list(pool.map(lambda number: search_with_threads(client, number), range(64)))
            for loop in loops:
                loop.join(BOUND)
        assert found == [8] * 64
        assert seen == {"one": 256, "two": 256}
        until(is_quiet(server))
        until(lambda: server.open_connections == 0)

    def test_an_async_client_on_a_second_loop_points_here(self, server: FakeServer) -> None:
        async def use_elsewhere() -> None:
            async with AsyncPolicyClient(server.base_url, "tiny") as client:
                with ThreadPoolExecutor(1) as pool, pytest.raises(ConfigurationError, match="PolicyClient"):
                    pool.submit(asyncio.run, client.server_info()).result(BOUND)

        asyncio.run(use_elsewhere())

    def test_a_plain_with_of_the_async_client_points_here(self) -> None:
        with pytest.raises(TypeError, match=r"use `async with AsyncPolicyClient\(...\)`, or PolicyClient"):
            AsyncPolicyClient().__enter__()  # type: ignore[attr-defined]

    async def test_async_with_of_it_points_to_the_other(self) -> None:
        with pytest.raises(TypeError, match=r"use `with PolicyClient\(...\)`, or AsyncPolicyClient"):
            await PolicyClient().__aenter__()  # type: ignore[attr-defined]

    async def test_in_a_coroutine_it_works(self, server: FakeServer) -> None:
        with PolicyClient(server.base_url, "tiny") as client:
            assert len(client.expand("x", n=2)) == 2

    def test_streams_of_many_threads(self, fake_sglang_factory: FakeServerFactory) -> None:
        server = fake_sglang_factory(FakeOptions(version="0.5.23"))
        with PolicyClient(server.base_url, "tiny") as client, ThreadPoolExecutor(16) as pool:
            root = client.root("q")
            found = list(pool.map(lambda _: len(list(client.expand_iter(root, 3))), range(64)))
        assert found == [3] * 64


class TestTree:
    def test_it_has_the_calls_and_ends_those_of_other_threads(self, slow: FakeServer) -> None:
        with PolicyClient(slow.base_url, "tiny", retry=QUICK) as client, ThreadPoolExecutor(2) as pool:
            with client.tree("one") as tree:
                root = tree.prefix("q")
                assert len(tree.expand(root, 2, SamplingParams(max_new_tokens=2))) == 2
                assert len(list(tree.expand_iter(root, 2, SamplingParams(max_new_tokens=2)))) == 2
                assert (tree.name, repr(tree)) == ("one", "SyncTree('one', 0 calls)")
                pending = pool.submit(tree.expand, root, 2, ENDLESS)
                until(generates(slow))
            with pytest.raises(TreeClosedError, match="the tree 'one' was left"):
                pending.result(BOUND)
            until(lambda: not slow.scheduler.running)
