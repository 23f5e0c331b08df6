"""Time and memory of the shadow of the server's cache: `python benchmarks/shadow.py [OUT.json]`.

A cache of 10^6 tokens is filled by the workload of docs/explanation/prefix-sharing.md: roots of 400 tokens, expanded
16 ways, then 4 levels in which 4 nodes get 4 children each, 48 tokens a step. Then single calls are timed: the median
over rounds of the mean of many calls, in CPU time of the process. `full` is the same workload in a cache of half the
room, where each sample evicts as much as it brings. `warm path` is all that the engine does for a sample on account of
the cache and the ledger: from the question whether the prefix is warm to its end, on prompts of 512 ids and more.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

from machine import publish, where

from ets_client import Origin, Prefix
from ets_client._core.shadow import Shadow
from ets_client._core.shadow_rules import CacheRules
from ets_client._engine.counters import Counters
from ets_client._engine.server_cache import SentSamples, ServerCache
from ets_client._wire.generate import WireMeta, WireSample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKENS = 1_000_000
ROOT, STEP, FIRST, LEVELS, KEPT, FANOUT = 400, 48, 16, 4, 4, 4
ROUNDS = 9
ORIGIN = Origin("tok")
RANDOM = random.Random(0)
MANY_IDS = RANDOM.choices(range(32_000), k=4_000_000)


def ids(count: int) -> list[int]:
    place = RANDOM.randrange(len(MANY_IDS) - count)
    return MANY_IDS[place : place + count]


def root() -> Prefix:
    return Prefix(ids(ROOT), "", origin=ORIGIN)


def expand(shadow: Shadow, prefix: Prefix, n: int, spent: list[float]) -> list[Prefix]:
    """The first sample warms the prefix, the others follow; what the shadow took for all is added to `spent`."""
    outputs = [ids(STEP) for _ in range(n)]
    start = time.process_time()
    samples = [shadow.begin(prefix)]
    if samples[0].predicted < shadow.rules.reusable(len(prefix)):
        shadow.prefilled(samples[0], samples[0].predicted)
    if n > 1:
        samples += shadow.begin_batch(prefix, n - 1)
    for sample, output in zip(samples, outputs, strict=True):
        shadow.finish(sample, output, sample.predicted)
    spent.append(time.process_time() - start)
    children = [prefix.child(output, "") for output in outputs]
    for sample, child in zip(samples, children, strict=True):
        sample.mark(child)
    return children


def grow(shadow: Shadow, spent: list[float]) -> list[Prefix]:
    """One tree: all its prefixes below the root."""
    all_of_it = level = expand(shadow, root(), FIRST, spent)
    for _ in range(LEVELS):
        level = [child for parent in level[:KEPT] for child in expand(shadow, parent, FANOUT, spent)]
        all_of_it = all_of_it + level
    return all_of_it


def fill(capacity: int, tokens: int) -> tuple[Shadow, list[Prefix], dict[str, Any]]:
    """Grow trees until so many tokens were ever held."""
    shadow, prefixes, spent = Shadow(CacheRules(capacity)), list[Prefix](), list[float]()
    while shadow.stats.tokens + shadow.stats.evicted < tokens:
        prefixes += grow(shadow, spent)
    stats = shadow.stats
    assert stats.tokens <= capacity
    assert stats.error == 0
    return shadow, prefixes, {
        "samples": len(prefixes),
        "microseconds of a sample, from begin to finish": round(sum(spent) / len(prefixes) * 1e6, 1),
        "tokens held": stats.tokens,
        "tokens evicted": stats.evicted,
        "nodes": stats.nodes,
    }  # fmt: skip


def microseconds(call: Callable[[Prefix], object], prefixes: Sequence[Prefix]) -> float:
    rounds: list[float] = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for prefix in prefixes:
            call(prefix)
        rounds.append((time.process_time() - start) / len(prefixes) * 1e6)
    return round(statistics.median(rounds), 2)


def one_piece(count: int, shadow: Shadow) -> list[Prefix]:
    """Cold roots that nobody has named, which share their tokens with a held path: `count` prompts of 2,000 ids."""
    prompts: list[Prefix] = []
    for _ in range(count):
        held = Prefix(ids(1900), "", origin=ORIGIN)
        shadow.finish(shadow.begin(held), ids(50))
        prompts.append(Prefix(held.token_ids + ids(100), "", origin=ORIGIN))
    return prompts


def warm_path(n: int) -> float:
    """Microseconds a sample of `n` in one expand: 50 roots, each with 8 expands below one another."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        cache = ServerCache(Shadow(CacheRules(TOKENS * 2)), Counters(), lambda _: 1.0)
        level = [Prefix([40_000 + number, *ids(511)], "", origin=ORIGIN) for number in range(50)]
        for prefix in level:
            cache.saw(prefix)
        spent, samples = 0.0, 0
        for _ in range(8):
            asked = [(prefix, [reply(prefix) for _ in range(n)]) for prefix in level]
            start = time.process_time()
            ended = [send_and_finish(cache, prefix, replies) for prefix, replies in asked]
            spent += time.process_time() - start
            samples += n * len(level)
            level = [prefix.child(replies[0].output_ids, "") for prefix, replies in asked]
            for sent, child in zip(ended, level, strict=True):
                sent[0].mark(child)
        rounds.append(spent / samples * 1e6)
    return round(statistics.median(rounds), 2)


def send_and_finish(cache: ServerCache, prefix: Prefix, replies: list[WireSample]) -> SentSamples:
    sent = cache.send_if_warm(prefix, len(replies))
    assert sent is not None
    for place, each in enumerate(replies):
        sent.finish(place, each)
    sent.lost()
    return sent


def reply(prefix: Prefix) -> WireSample:
    meta = WireMeta(id="", prompt_tokens=len(prefix), cached_tokens=len(prefix) - 1, weight_version="default")
    return WireSample(output_ids=ids(STEP), meta_info=meta)


def bytes_of_a_token() -> dict[str, float]:
    """Memory of a shadow alone: the prefixes live elsewhere, so they are made before and after."""
    gc.collect()
    tracemalloc.start()
    shadow, prefixes, _ = fill(TOKENS * 2, TOKENS // 5)
    tokens, nodes = shadow.stats.tokens, shadow.stats.nodes
    gc.collect()
    whole = tracemalloc.get_traced_memory()[0]
    shadow.clear()
    for prefix in prefixes:
        for each in prefix.path:
            each.held_in = None
    gc.collect()
    freed = whole - tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"bytes a token": round(freed / tokens, 1), "bytes a node": round(freed / nodes, 1)}


def main(out: str | None) -> None:
    shadow, prefixes, filled = fill(TOKENS * 2, TOKENS)
    leaves = RANDOM.sample(prefixes, 2000)
    prompts = one_piece(200, shadow)
    strangers = [Prefix([40_000 + number, *ids(ROOT - 1)], "", origin=ORIGIN) for number in range(500)]
    times = {
        "warm_length of a finished sample's child": microseconds(shadow.warm_length, leaves),
        "warm_length of a prefix that was sent before": microseconds(
            shadow.warm_length, [leaf.parent for leaf in leaves if leaf.parent is not None]
        ),
        "warm_length of 2,000 ids in one piece, 1,900 of them held": microseconds(shadow.warm_length, prompts),
        "warm_length of 400 ids never seen": microseconds(shadow.warm_length, strangers),
        "begin and lost of a finished sample's child": microseconds(
            lambda each: shadow.lost(shadow.begin(each)), leaves
        ),
    }
    running = [shadow.begin(each) for each in strangers]
    times["computing, for 400 ids, 500 cold prompts running"] = microseconds(shadow.computing, strangers)
    assert all(shadow.computing(each.prefix) is not None for each in running)
    _, _, full = fill(TOKENS // 2, TOKENS * 3 // 2)
    found = {
        "room": filled,
        "full": full,
        "microseconds": times,
        "warm path, microseconds a sample": {f"n = {n}": warm_path(n) for n in (1, 4, 8)},
        "memory": bytes_of_a_token(),
    }
    report = where("shadow") | found
    publish(report, out)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
