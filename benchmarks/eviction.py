"""What SGLang's radix cache takes to make room for one decode step, by the number of leaves that could go.

    PYTHON_OF_A_SERVER benchmarks/eviction.py OUT.json --leaves 1000 4000 16000 64000

Run it by the Python that SGLang is installed for; for a CPU server's with ``server/src/ets_server/engine_scripts`` on
the path and ``SGLANG_USE_CPU_ENGINE=1``. It needs no model and no GPU. A cache is filled with steps of ``--step``
tokens below prompts, as a tree search leaves them. Then ``--running`` samples want one token each, again and again, as
in a server whose cache is full: SGLang evicts what is missing and no more.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from array import array
from importlib.metadata import version
from unittest.mock import Mock

from machine import publish, where

_SIBLINGS = 64


def filled(leaves: int, step: int) -> object:
    import torch
    from sglang.srt.mem_cache.base_prefix_cache import InsertParams
    from sglang.srt.mem_cache.radix_cache import RadixCache, RadixKey

    cache = RadixCache.create_simulated(mock_allocator=Mock(device="cpu"))
    for leaf in range(leaves):
        prompt = [leaf // _SIBLINGS, 0, 1, 2]
        ids = array("q", [*prompt, 3 + leaf % _SIBLINGS, *range(step - 1)])
        cache.insert(InsertParams(key=RadixKey(ids, None), value=torch.arange(len(ids))))
    return cache


def seconds_of_a_step(leaves: int, step: int, running: int, rounds: int) -> float:
    from sglang.srt.mem_cache.base_prefix_cache import EvictParams

    cache = filled(leaves, step)
    taken: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        cache.evict(EvictParams(num_tokens=running))  # type: ignore[attr-defined]
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    if importlib.util.find_spec("cpu_support") is not None:
        import cpu_support

        cpu_support.install()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, nargs="+", default=[1000, 4000, 16000, 64000])
    parser.add_argument("--step", type=int, default=48, help="tokens of a leaf")
    parser.add_argument("--running", type=int, default=512, help="tokens of a decode step")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("out", nargs="?")
    asked = parser.parse_args()
    rows = [
        {"leaves": leaves, "ms": 1000 * seconds_of_a_step(leaves, asked.step, asked.running, asked.rounds)}
        for leaves in asked.leaves
    ]
    sizes = {"sglang": version("sglang"), "step": asked.step, "running": asked.running, "rounds": asked.rounds}
    publish(where("eviction") | sizes | {"rows": rows}, asked.out)


if __name__ == "__main__":
    main()
