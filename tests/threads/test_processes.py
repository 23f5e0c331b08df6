"""The end of the interpreter, and children that were forked: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ets_client.testing import Costs, FakeServer
from tests.threads.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from ets_client import ConfigurationError, PolicyClient, SamplingParams

URL = sys.argv[1]
ENDLESS = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")


def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
def slow() -> Iterator[FakeServer]:
    with FakeServer(costs=Costs(decode_step=0.05)) as server:
        yield server


def run(code: str, server: FakeServer, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, which must end within 30 s."""
    command = [sys.executable, *flags, "-c", HEAD + code, server.base_url]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


class TestExit:
    def test_without_close_it_warns_and_stops_its_samples_and_does_not_hang(self, slow: FakeServer) -> None:
        done = run(
            """
client = PolicyClient(URL, "tiny").__enter__()
client.submit_expand("x", 4, ENDLESS)
while not client.loads()[0].running_requests:
    pass
print("end")
""",
            slow,
            "-W",
            "default",
        )
        assert (done.stdout, done.returncode) == ("end\n", 0)
        assert "ResourceWarning: 1 PolicyClient not closed at exit" in done.stderr
        assert "Traceback" not in done.stderr
        until(lambda: slow.scheduler.is_idle and not slow.registered_rids)
        assert slow.count("/abort_request") in {4, 8}  # closing repeats those of requests that went out just now

    def test_after_close_nothing_is_said(self, slow: FakeServer) -> None:
        done = run('with PolicyClient(URL, "tiny") as client: client.expand("x", 1)', slow, "-W", "error")
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)

    def test_daemon_threads_that_wait_do_not_keep_the_process(self, slow: FakeServer) -> None:
        done = run(
            """
client = PolicyClient(URL, "tiny").__enter__()
for _ in range(8):
    threading.Thread(target=client.expand, args=("x", 1, ENDLESS), daemon=True).start()
while not client.loads()[0].running_requests:
    pass
""",
            slow,
        )
        assert done.returncode == 0
        until(lambda: slow.scheduler.is_idle and not slow.registered_rids)


class TestFork:
    def test_a_child_is_told_and_can_open_a_client_of_its_own(self, slow: FakeServer) -> None:
        done = run(
            """
def child():
    for use in (lambda: client.expand("x"), lambda: client.submit_expand("x"), lambda: client.profile):
        try:
            use()
        except ConfigurationError as error:
            print(error)
    with PolicyClient(URL, "tiny") as own:
        print(len(own.expand("x", 2)))

with PolicyClient(URL, "tiny") as client:
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(7)  # leaves the with block, and the interpreter in the ordinary way
    print(status(pid), flush=True)
    print(len(client.expand("x", 3)))
""",
            slow,
            "-W",
            "default",
        )
        refusals, rest = done.stdout.splitlines()[:3], done.stdout.splitlines()[3:]
        assert all("opened before the process forked" in each for each in refusals)
        assert rest == ["2", "7", "3"]
        assert (done.stderr, done.returncode) == ("", 0)

    def test_the_end_of_a_child_does_not_make_the_parent_deaf(self, slow: FakeServer) -> None:
        done = run(
            """
sampling = SamplingParams(max_new_tokens=20, ignore_eos=True, stop="never, ever")  # one second
with PolicyClient(URL, "tiny", timeout=20) as client:
    futures = [client.submit_expand(f"question {number}", 2, sampling) for number in range(8)]
    while client.loads()[0].running_requests < 16:
        pass
    pid = os.fork()
    if pid == 0:
        del futures
        sys.exit(0)
    print(status(pid), [len(future.result()) for future in futures])
""",
            slow,
        )
        assert done.stdout == "0 [2, 2, 2, 2, 2, 2, 2, 2]\n"
        assert done.returncode == 0

    def test_a_pool_of_forked_processes_works_beside_a_client(self, slow: FakeServer) -> None:
        done = run(
            """
import multiprocessing

def work(number):
    with PolicyClient(URL, "tiny") as client:
        return len(client.expand("x", number))

with PolicyClient(URL, "tiny") as client, multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, [1, 2, 3]), len(client.expand("x", 4)))
""",
            slow,
        )
        assert (done.stdout, done.returncode) == ("[1, 2, 3] 4\n", 0), done.stderr
