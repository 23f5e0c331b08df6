"""Label probabilities against transformers on the same weights."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from ets_client import AsyncPolicyClient, LabelProbs

pytestmark = pytest.mark.live

REFERENCE = Path(__file__).parent / "reference_logprobs.py"
TEXTS = ("Step one is right.", "Step two is wrong, though it is longer.\n\n", "x")


def reference(model_path: str, prompts: list[list[int]]) -> list[list[float]]:
    """What transformers gives, on the Python that serves the model."""
    shown = subprocess.run(
        [os.environ["ETS_SERVER"], "command", "--profile", "tiny"], capture_output=True, text=True, check=True
    )
    command = next(line for line in shown.stdout.splitlines() if "launch_cpu.py" in line)
    python, launcher = shlex.split(command.rstrip("\\"))[:2]
    ran = subprocess.run(
        [python, str(REFERENCE), str(Path(launcher).parent), model_path],
        input=json.dumps(prompts),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[float]] = json.loads(ran.stdout)
    return found


async def test_label_probabilities_are_those_of_transformers(live_endpoint: Path) -> None:
    async with AsyncPolicyClient.from_endpoint(live_endpoint) as client:
        roots = [await client.prefix(text) for text in TEXTS]
        outcomes = await client.label_probs(roots, range(2048))
        expected = reference(client.capabilities.model_path, [root.token_ids for root in roots])
    for outcome, row in zip(outcomes, expected, strict=True):
        assert isinstance(outcome, LabelProbs)
        assert max(abs(ours - theirs) for ours, theirs in zip(outcome.logprobs, row, strict=True)) < 1e-2
