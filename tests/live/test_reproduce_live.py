"""`make reproduce` in a small form: two real servers, and a search with both that is interrupted and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

SCRIPT = Path(__file__).parents[2] / "scripts" / "reproduce.sh"
SMALL = ["--depth", "3", "--max-step-tokens", "12", "--at-once", "1"]


def environment(out: Path, **sizes: str) -> dict[str, str]:
    client = Path(sys.executable).parent / "ets-client"
    small = {"POLICY": "tiny", "REWARD": "tiny", "FIRST": "3", "WIDTH": "4", "INTERRUPT_AFTER": "1"}
    return {**os.environ, **small, "ETS_CLIENT": str(client), "OUT": str(out), **sizes}


def servers_that_are_up(name: str) -> list[str]:
    told = subprocess.run([os.environ["ETS_SERVER"], "status", "--json"], capture_output=True, text=True, check=True)
    return [server["name"] for server in json.loads(told.stdout) if name in server["name"]]


@pytest.mark.parametrize("how", ["INT", "KILL"])
def test_a_search_that_is_interrupted_goes_on_and_pays_for_nothing_twice(tmp_path: Path, how: str) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(
        [SCRIPT, *SMALL], env=environment(out, SIGNAL=how), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as script:
        told, _ = script.communicate(timeout=300)
    assert script.returncode == 0, told
    assert f"1 of 3 questions are done: SIG{how} to the search" in told
    found = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert len(found["steps"]) == 2
    assert all(found["steps"])
    assert found["paid_twice"] == 0
    assert found["questions"] == 3
    assert set(found["seconds"]) == {
        "Policy server", "Reward server", f"Search, interrupted by SIG{how}", "Search, resumed", "Evaluation", "Pages",
    }  # fmt: skip
    for server in ("policy", "reward"):
        assert 0.98 <= found[server]["prefilled"] / found[server]["least"] <= 1.25, found
    pages = sorted(path.name for path in (out / "pages").glob("*.html"))
    assert "index.html" in pages
    assert len(pages) == 4
    assert f"file://{out}/pages/index.html" in told
    assert (out / "accuracy.png").stat().st_size > 0
    assert not servers_that_are_up(f"-{script.pid}")


def test_a_folder_that_holds_a_run_is_refused_before_a_server_starts(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("", encoding="utf-8")
    script = subprocess.run([SCRIPT], env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert script.returncode == 2
    assert f"{tmp_path} holds a run already" in script.stderr


def test_a_script_that_is_told_to_stop_stops_its_servers(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(
        [SCRIPT, *SMALL], env=environment(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as script:
        assert script.stdout is not None
        for line in script.stdout:
            if line.startswith("Policy server: "):  # it is up
                break
        script.send_signal(signal.SIGTERM)
        script.communicate(timeout=120)
    assert script.returncode == 143
    assert not servers_that_are_up(f"-{script.pid}")
