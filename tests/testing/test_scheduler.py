from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ets_client.testing.job import Job, LogprobWishes
from ets_client.testing.model import SeededModel
from ets_client.testing.options import FakeOptions
from ets_client.testing.sampling import Sampling
from ets_client.testing.scheduler import Scheduler
from ets_client.testing.tokenizer import ByteTokenizer

TOKENIZER = ByteTokenizer()


def _scheduler(**options: Any) -> Scheduler:
    model = SeededModel()
    model.bind(TOKENIZER)
    return Scheduler(FakeOptions(**options), model, TOKENIZER)


def _job(rid: str, prompt: list[int], most: int = 4, **others: Any) -> Job:
    return Job(rid, prompt, Sampling(ignore_eos=True), most, others.pop("on_update", lambda _: None), **others)


def _step(scheduler: Scheduler) -> bool:
    step = scheduler.next_step()
    if step is not None:
        scheduler.finish_step(step, 0.0)
    return step is not None


def _run(scheduler: Scheduler, *jobs: Job) -> None:
    for job in jobs:
        scheduler.submit(job)
    while _step(scheduler):
        pass


PROMPT = list(range(10, 30))


def test_all_but_the_last_prompt_token_match() -> None:
    scheduler = _scheduler()
    first, second = _job("a", PROMPT), _job("b", PROMPT)
    _run(scheduler, first)
    _run(scheduler, second)
    assert (first.cached, second.cached) == (0, 19)
    assert scheduler.counts["prefill_compute"] == 20 + 1
    assert scheduler.counts["prefill_cache"] == 19


def test_a_finished_sample_leaves_all_but_its_last_token() -> None:
    scheduler = _scheduler()
    parent = _job("a", PROMPT)
    _run(scheduler, parent)
    child = _job("b", [*parent.prompt, *parent.output, 40, 41])
    _run(scheduler, child)
    assert child.cached == 20 + 4 - 1


def test_matches_are_rounded_down_to_pages() -> None:
    scheduler = _scheduler(page_size=8)
    _run(scheduler, _job("a", PROMPT, 0))
    same, longer = _job("b", PROMPT, 0), _job("c", [*PROMPT, 1, 2, 3, 4, 5], 0)
    _run(scheduler, same)
    _run(scheduler, longer)
    assert (same.cached, longer.cached) == (16, 16)


def test_a_prompt_is_matchable_after_its_prefill_and_output_only_at_the_end() -> None:
    scheduler = _scheduler()
    parent = _job("a", PROMPT, 10)
    scheduler.submit(parent)
    _step(scheduler)
    _step(scheduler)
    assert scheduler.tree.match_length(PROMPT, 99) == 20
    assert scheduler.tree.match_length(parent.ids, 99) == 20


def test_cold_siblings_of_one_step_are_all_computed() -> None:
    scheduler = _scheduler()
    jobs = [_job(str(place), PROMPT) for place in range(3)]
    _run(scheduler, *jobs)
    assert [job.cached for job in jobs] == [0, 0, 0]
    assert scheduler.counts["prefill_compute"] == 60


def test_logprobs_from_a_position_limit_the_match() -> None:
    scheduler = _scheduler()
    _run(scheduler, _job("a", PROMPT))
    job = _job("b", PROMPT, logprobs=LogprobWishes(start=5))
    _run(scheduler, job)
    assert job.cached == 5


def test_without_a_radix_cache_nothing_is_reused() -> None:
    scheduler = _scheduler(disable_radix_cache=True)
    _run(scheduler, _job("a", PROMPT))
    again = _job("b", PROMPT)
    _run(scheduler, again)
    assert (again.cached, scheduler.tree.size, scheduler.used_tokens) == (0, 0, 0)


def test_a_long_prompt_is_computed_in_chunks() -> None:
    scheduler = _scheduler(chunked_prefill_size=8)
    job = _job("a", PROMPT, 1)
    scheduler.submit(job)
    _step(scheduler)
    assert scheduler.tree.match_length(PROMPT, 99) == 8
    _run(scheduler)
    assert (scheduler.counts["prefill_compute"], job.cached, len(job.output)) == (20, 0, 1)


def test_a_prompt_in_chunks_can_be_aborted() -> None:
    scheduler = _scheduler(chunked_prefill_size=8)
    job = _job("a", PROMPT)
    scheduler.submit(job)
    _step(scheduler)
    scheduler.abort("a")
    _run(scheduler)
    assert job.finish is not None
    assert job.finish.reason["type"] == "abort"
    assert (job.output, scheduler.used_tokens) == ([], 0)


def test_no_more_run_than_allowed() -> None:
    scheduler = _scheduler(max_running_requests=2)
    for place in range(5):
        scheduler.submit(_job(str(place), [place + 10] * 5))
    _step(scheduler)
    assert (len(scheduler.running), len(scheduler.waiting)) == (2, 3)


def test_a_full_queue_refuses_with_503() -> None:
    scheduler = _scheduler(max_queued_requests=1)
    scheduler.submit(_job("a", PROMPT))
    told: list[Job] = []
    scheduler.submit(_job("b", PROMPT, on_update=told.append))
    assert told[0].finish is not None
    assert (told[0].finish.status, told[0].finish.message) == (503, "The request queue is full.")


def test_an_abort_matches_by_prefix_and_a_running_sample_gets_one_more_token() -> None:
    scheduler = _scheduler()
    one, ten, other = _job("node-1", PROMPT, 50), _job("node-10", PROMPT, 50), _job("x", PROMPT)
    for job in (one, ten, other):
        scheduler.submit(job)
    _step(scheduler)
    scheduler.abort("node-1")
    _run(scheduler)
    assert [len(job.output) for job in (one, ten, other)] == [2, 2, 4]
    assert one.finish is not None
    assert one.finish.reason == {"type": "abort", "message": "Aborted", "status_code": None, "err_type": None}


def test_an_abort_that_comes_while_the_prompt_is_computed_is_not_forgotten() -> None:
    scheduler = _scheduler()
    job = _job("a", PROMPT, 10)
    scheduler.submit(job)
    step = scheduler.next_step()
    assert step is not None
    assert not scheduler.is_idle
    scheduler.abort("a")
    scheduler.finish_step(step, 0.0)
    assert (job.finish, len(job.output)) == (None, 1)
    _step(scheduler)
    assert job.finish is not None
    assert (job.finish.reason["type"], len(job.output)) == ("abort", 2)


def test_an_abort_in_the_queue_ends_at_once() -> None:
    scheduler = _scheduler()
    job = _job("a", PROMPT)
    scheduler.submit(job)
    scheduler.abort("a")
    assert job.finish is not None
    assert job.finish.reason == {"type": "abort", "message": "Abort in waiting queue"}
    assert job.cached is None


def test_a_flush_needs_an_idle_server() -> None:
    scheduler = _scheduler()
    scheduler.submit(_job("a", PROMPT))
    assert not scheduler.flush()
    _run(scheduler)
    assert scheduler.flush()
    assert scheduler.tree.size == 0


def test_unused_prefixes_make_room() -> None:
    scheduler = _scheduler(max_total_tokens=64)
    for start in range(10, 60, 10):
        _run(scheduler, _job(str(start), list(range(start * 10, start * 10 + 20)), 2))
    assert scheduler.tree.evicted > 0
    assert scheduler.tree.size <= 64


def test_samples_that_do_not_fit_lose_their_place_and_end_all_the_same() -> None:
    scheduler = _scheduler(max_total_tokens=200)
    jobs = [_job(str(place), [place + 10] * 8, 60) for place in range(4)]
    _run(scheduler, *jobs)
    assert [len(job.output) for job in jobs] == [60] * 4
    assert scheduler.counts["retracted"] > 0
    assert max(job.retractions for job in jobs) > 0
    assert [job.cached for job in jobs] == [0] * 4


def _lpm_order(number: int) -> list[str]:
    scheduler = _scheduler(schedule_policy="lpm", max_running_requests=1)
    _run(scheduler, _job("first", PROMPT))
    for place in range(number - 1):
        scheduler.submit(_job(f"cold-{place}", [100 + place] * 6))
    scheduler.submit(_job("warm", [*PROMPT, 5]))
    _step(scheduler)
    return [job.rid for job in scheduler.running]


def test_lpm_begins_with_the_longest_match_up_to_128_waiting() -> None:
    assert _lpm_order(128) == ["warm"]
    assert _lpm_order(129) == ["cold-0"]


def test_lpm_keeps_siblings_of_a_cold_prefix_back_for_one_step() -> None:
    scheduler = _scheduler(schedule_policy="lpm", max_running_requests=2)
    prefix = list(range(300, 340))
    jobs = [_job(str(place), [*prefix, place], 30) for place in range(2)] + [_job("other", [7] * 15, 30)]
    for job in jobs:
        scheduler.submit(job)
    _step(scheduler)
    assert {job.rid for job in scheduler.running} == {"0", "other"}
    _run(scheduler)
    assert jobs[1].cached is not None
    assert jobs[1].cached >= 40 - 5


def test_seeds_count_only_under_deterministic_inference() -> None:
    for deterministic in (False, True):
        scheduler = _scheduler(enable_deterministic_inference=deterministic)
        jobs = [_job(str(place), PROMPT, 30) for place in range(2)]
        _run(scheduler, *jobs)
        assert (jobs[0].output == jobs[1].output) is deterministic


def test_the_same_requests_in_the_same_order_write_the_same() -> None:
    outputs: list[list[list[int]]] = []
    for _ in range(2):
        scheduler = _scheduler(seed=3)
        jobs = [_job(str(place), PROMPT, 30) for place in range(3)]
        _run(scheduler, *jobs)
        outputs.append([job.output for job in jobs])
    assert outputs[0] == outputs[1]


@settings(max_examples=60)
@given(
    st.sampled_from([1, 4]),
    st.sampled_from([None, 8]),
    st.sampled_from(["fcfs", "lpm"]),
    st.lists(st.tuples(st.lists(st.integers(10, 12), min_size=1, max_size=20), st.integers(0, 20)), max_size=12),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_every_sample_ends_once_and_gives_its_memory_back(
    page: int, chunk: int | None, policy: Any, samples: list[tuple[list[int], int]], aborts: list[int]
) -> None:
    scheduler = _scheduler(page_size=page, chunked_prefill_size=chunk, schedule_policy=policy, max_total_tokens=64)
    ends: list[str] = []
    jobs = [
        _job(f"{place:03}", prompt, most, on_update=lambda job: ends.append(job.rid))
        for place, (prompt, most) in enumerate(samples)
    ]
    for job in jobs:
        scheduler.submit(job)
    for count in range(10_000):
        if count in aborts:
            scheduler.abort(f"{count % 12:03}")
        assert scheduler.free_tokens >= 0
        if not _step(scheduler):
            break
    assert sorted(ends) == [job.rid for job in jobs]
    assert scheduler.is_idle
    assert scheduler.used_tokens == 0
    assert scheduler.free_tokens + scheduler.tree.size == 64
    for job in jobs:
        assert job.finish is not None
        assert job.finish.reason["type"] == "abort" or len(job.output) == job.most


def test_options_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"choose one of 0\.5\.14"):
        FakeOptions(version="0.5.1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="page_size = 0"):
        FakeOptions(page_size=0)
    with pytest.raises(ValueError, match="a multiple of page_size"):
        FakeOptions(page_size=7)
    with pytest.raises(ValueError, match="at least a page"):
        FakeOptions(page_size=64, chunked_prefill_size=8)
