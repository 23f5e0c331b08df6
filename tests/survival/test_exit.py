"""A program that ends without closing its client."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio
from ets_client import AsyncPolicyClient, SamplingParams
from ets_client.testing import FakeServer

kept = []

async def main(url):
    kept.append(await AsyncPolicyClient(url, "tiny").__aenter__())
    endless = SamplingParams(max_new_tokens=1500, ignore_eos=True, stop="never, ever")
    asyncio.ensure_future(kept[0].expand("q", 1, endless))
    await kept[0].expand("q", 1, SamplingParams(max_new_tokens=2))

with FakeServer() as server:
    asyncio.run(main(server.base_url))
print("the end")
"""


def test_an_async_client_that_is_not_closed_warns_and_does_not_hang() -> None:
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "the end\n"
    assert "ResourceWarning: AsyncPolicyClient was not closed: use `async with`" in done.stderr
