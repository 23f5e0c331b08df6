from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client._core.shadow import Reuse, Shadow
from ets_client._core.shadow_rules import CacheRules
from tests.fakes import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ets_client import Prefix
    from ets_client._core.shadow_sample import RunningSample

PROMPT = root(range(10, 30))


def shadow_of(capacity: int = 1000, page: int = 1) -> Shadow:
    return Shadow(CacheRules(capacity, page))


def run(shadow: Shadow, prefix: Prefix, output: Sequence[int] = (), cached: int | None = None) -> Reuse:
    return shadow.finish(shadow.begin(prefix), output, cached)


# -- the rules of the cache


def test_a_prompt_is_warm_once_it_is_prefilled_and_not_before() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    assert (sample.predicted, shadow.warm_length(PROMPT)) == (0, 0)
    shadow.prefilled(sample)
    assert shadow.warm_length(PROMPT) == 19
    shadow.prefilled(sample)
    assert shadow.stats.tokens == 20


def test_generated_tokens_are_warm_at_the_end_all_but_the_last() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    shadow.prefilled(sample)
    shadow.grown(sample, 3)
    child = PROMPT.child([40, 41, 42], "").child([50, 51], "")
    assert shadow.warm_length(child) == 20
    shadow.finish(sample, [40, 41, 42])
    assert shadow.warm_length(child) == 22
    assert shadow.stats.running_tokens == 0


def test_the_last_token_of_a_prompt_is_never_reused() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT, [40, 41])
    assert shadow.rules.reusable(len(PROMPT)) == 19
    assert shadow.begin(PROMPT).predicted == 19


def test_matches_are_rounded_down_to_pages() -> None:
    shadow = shadow_of(page=8)
    run(shadow, PROMPT, [1, 2, 3, 4, 5])
    assert shadow.warm_length(PROMPT) == 16
    assert shadow.warm_length(PROMPT.child([1, 2, 3, 4, 5], "")) == 24
    assert shadow.warm_length(root(range(10, 26))) == 8
    assert shadow.stats.tokens == 24


def test_prefixes_that_end_in_one_page_take_turns_in_being_known() -> None:
    shadow = shadow_of(page=8)
    for token in (1, 2, 1):
        child = PROMPT.child([token], "")
        run(shadow, child)
        assert shadow.warm_length(child.child([3, 4, 5, 6], "")) == 16
    run(shadow, PROMPT.child([1, 2], "").child([3, 4, 5, 6], ""))
    assert shadow.warm_length(PROMPT.child([1, 2], "").child([3, 4, 5, 6], "").child([7], "")) == 24


def test_samples_begin_only_if_the_prefix_is_warm_when_they_are_asked_to() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT, [40, 41, 42])
    before = shadow.stats
    assert shadow.begin_warm(PROMPT.child([40, 7, 8], ""), 2) is None
    assert shadow.stats == before
    samples = shadow.begin_warm(PROMPT.child([40, 41, 42], ""), 2)
    assert samples is not None
    assert [sample.predicted for sample in samples] == [22, 22]


def test_the_child_of_a_sample_is_found_where_the_sample_ended() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    shadow.finish(sample, [40, 41, 42])
    child = PROMPT.child([40, 41, 42], "")
    sample.mark(child)
    assert (child.held_in, child.held_at) == (sample.held_in, sample.held_at)
    assert child.held_at
    assert shadow.warm_length(child) == 22
    shadow.clear()
    assert shadow.warm_length(child) == 0


def test_namespaces_share_nothing() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT)
    other = root(PROMPT.token_ids, namespace="other")
    assert shadow.warm_length(other) == 0
    run(shadow, other)
    assert shadow.warm_length(other) == 19
    assert shadow.stats.tokens == 40


def test_without_a_radix_cache_nothing_is_warm_and_nothing_waited_for() -> None:
    shadow = Shadow(CacheRules(1000, is_enabled=False))
    run(shadow, PROMPT, [1, 2])
    sample = shadow.begin(PROMPT)
    assert (sample.predicted, shadow.warm_length(PROMPT), shadow.rules.reusable(len(PROMPT))) == (0, 0, 0)
    assert shadow.computing(PROMPT) is None
    assert (shadow.stats.tokens, shadow.stats.running_tokens) == (0, 20)


@pytest.mark.parametrize(("capacity", "page", "nodes"), [(0, 1, 1), (10, 0, 1), (10, 1, -1)])
def test_rules_that_no_server_has_are_refused(capacity: int, page: int, nodes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CacheRules(capacity, page, most_nodes=nodes)


# -- room


def test_the_least_recently_used_leaf_is_evicted_when_room_is_needed() -> None:
    shadow = shadow_of(capacity=60)
    old, young, new = root([1] * 20), root([2] * 20), root([3] * 30)
    run(shadow, old)
    run(shadow, young)
    run(shadow, old)
    run(shadow, new)
    assert [shadow.warm_length(each) for each in (old, young, new)] == [19, 0, 29]
    assert shadow.stats.evicted == 20


def test_what_runs_is_not_evicted_and_room_is_made_when_it_ends() -> None:
    shadow = shadow_of(capacity=30)
    samples = [shadow.begin(root([token] * 20)) for token in (1, 2)]
    for sample in samples:
        shadow.prefilled(sample)
    assert (shadow.stats.tokens, shadow.stats.evicted) == (40, 0)
    shadow.finish(samples[0], [])
    assert (shadow.stats.tokens, shadow.stats.evicted) == (20, 20)
    assert shadow.warm_length(root([2] * 20)) == 19


def test_a_running_sample_takes_room_as_it_grows() -> None:
    shadow = shadow_of(capacity=40)
    run(shadow, root([1] * 20))
    sample = shadow.begin(root([2] * 10))
    shadow.grown(sample, 11)
    assert (shadow.stats.running_tokens, shadow.stats.evicted) == (20, 0)
    shadow.grown(sample, 12)
    assert (shadow.stats.running_tokens, shadow.stats.evicted) == (21, 20)


def test_a_tree_of_too_many_nodes_is_cut_as_if_the_cache_were_full() -> None:
    shadow = Shadow(CacheRules(10**6, most_nodes=100))
    for token in range(1000):
        run(shadow, root([token, 1, 2]))
    assert shadow.stats.nodes <= 100
    assert shadow.warm_length(root([999, 1, 2])) == 2


# -- evidence


def test_fewer_cached_tokens_than_predicted_cut_what_hangs_below() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT, [40, 41, 42])
    run(shadow, root(range(10, 18)).child([7, 7], ""))
    early, late = PROMPT.child([40, 9], ""), root(range(10, 18)).child([7, 7], "")
    assert run(shadow, early, cached=10) == Reuse(21, 10)
    assert Reuse(21, 10).shortfall == 11
    assert shadow.warm_length(PROMPT.child([40, 41, 42], "")) == 21
    assert shadow.warm_length(late) == 9
    assert shadow.warm_length(early) == 21
    assert (shadow.stats.predicted, shadow.stats.reported, shadow.stats.error) == (21, 10, 11)
    assert shadow.stats.disproved == 12


def test_evidence_of_the_first_chunk_serves_as_well_as_that_of_the_end() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT, [40, 41, 42])
    sample = shadow.begin(PROMPT.child([40], ""))
    shadow.prefilled(sample, 0)
    assert shadow.warm_length(PROMPT.child([40, 41, 42], "")) == 21
    assert shadow.stats.running_tokens == 0
    assert shadow.finish(sample, [1, 2], 0).reported == 0
    assert shadow.stats.disproved == 22


def test_evidence_that_comes_after_the_prefill_spares_what_was_computed_since() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT, [40, 41, 42])
    sample = shadow.begin(PROMPT)
    shadow.prefilled(sample)
    run(shadow, PROMPT.child([50, 51], ""))
    shadow.finish(sample, [60, 61], 4)
    assert shadow.warm_length(PROMPT.child([40, 41, 42], "")) == 20
    assert shadow.warm_length(PROMPT.child([50, 51], "")) == 21
    assert shadow.warm_length(PROMPT.child([60, 61], "")) == 21


def test_more_cached_tokens_than_predicted_are_learned_with_the_prompt() -> None:
    shadow = shadow_of()
    reuse = run(shadow, PROMPT, cached=12)
    assert (reuse, reuse.shortfall) == (Reuse(0, 12), 0)
    assert shadow.warm_length(PROMPT) == 19
    assert (shadow.stats.error, shadow.stats.disproved) == (12, 0)


def test_a_shortfall_over_what_the_model_evicted_itself_cuts_nothing() -> None:
    shadow = shadow_of(page=4)
    run(shadow, PROMPT)
    sample, other = shadow.begin(PROMPT), shadow.begin(PROMPT)
    shadow.finish(sample, [], 0)
    shadow.finish(other, [], 0)
    assert shadow.warm_length(PROMPT) == 16
    assert shadow.finish(shadow.begin(PROMPT), [], 16) == Reuse(16, 16)


def test_a_lost_sample_teaches_nothing_and_gives_its_room_back() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT)
    child = PROMPT.child([1, 2, 3], "")
    shadow.lost(shadow.begin(child))
    assert (shadow.warm_length(child), shadow.stats.running_tokens) == (20, 0)
    assert shadow.computing(child) is None


def test_a_sample_that_has_ended_has_ended() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    shadow.finish(sample, [1, 2], 0)
    before = shadow.stats
    shadow.lost(sample)
    shadow.prefilled(sample)
    shadow.grown(sample, 5)
    shadow.finish(sample, [3, 4, 5], 0)
    assert shadow.stats == before


def test_a_flush_empties_it_and_what_ran_through_it_teaches_nothing() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT)
    samples: list[RunningSample] = [shadow.begin(PROMPT) for _ in range(3)]
    shadow.clear()
    shadow.prefilled(samples[0], 0)
    shadow.grown(samples[0], 100)
    assert shadow.finish(samples[0], [1, 2], 0) == Reuse(19, None)
    shadow.lost(samples[1])
    assert shadow.stats == shadow_of().stats


def test_new_weights_are_a_flush_and_the_same_ones_are_not() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT)
    shadow.saw_weights("one")
    shadow.saw_weights("one")
    assert shadow.warm_length(PROMPT) == 19
    shadow.saw_weights("two")
    assert shadow.warm_length(PROMPT) == 0


# -- what is being computed


def test_a_cold_prompt_that_runs_is_worth_waiting_for_until_it_is_prefilled() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    cousin = root([*range(10, 25), 1, 2])
    assert shadow.computing(PROMPT) == (sample, 19)
    assert shadow.computing(cousin) == (sample, 15)
    assert shadow.computing(root([1])) is None
    shadow.prefilled(sample)
    assert shadow.computing(cousin) is None


def test_a_warm_prompt_that_runs_is_nothing_to_wait_for() -> None:
    shadow = shadow_of()
    run(shadow, PROMPT)
    shadow.begin(PROMPT)
    assert shadow.computing(PROMPT) is None
    shadow.begin(PROMPT.child([1, 2, 3], ""))
    assert shadow.computing(PROMPT.child([9], "")) is None


def test_it_says_what_it_holds() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    assert repr(sample) == "RunningSample(20 prompt tokens, 0 predicted, sent)"
    shadow.prefilled(sample)
    assert repr(sample) == "RunningSample(20 prompt tokens, 0 predicted, prefilled)"
    shadow.lost(sample)
    assert repr(sample) == "RunningSample(20 prompt tokens, 0 predicted, over)"
    assert repr(shadow) == "Shadow(PrefixTree(20 tokens in 1 nodes), 0 cold prompts computing, 0 tokens evicted)"


def test_a_sample_that_is_forgone_is_not_waited_for_and_teaches_all_the_same() -> None:
    shadow = shadow_of()
    sample = shadow.begin(PROMPT)
    assert shadow.computing(PROMPT) is not None
    shadow.forgo(sample)
    assert shadow.computing(PROMPT) is None
    shadow.prefilled(sample)
    assert shadow.warm_length(PROMPT) == 19
    shadow.clear()
    other = shadow.begin(PROMPT)
    shadow.forgo(sample)  # of the cache before
    assert shadow.computing(PROMPT) == (other, 19)


def test_what_a_reply_disproves_may_have_to_go_for_the_sample_itself() -> None:
    shadow = Shadow(CacheRules(10))
    first = shadow.begin(root([1, 2, 3, 4, 5, 6, 7, 8]))
    shadow.finish(first, [9], 0)
    again = shadow.begin(root([1, 2, 3, 4, 5, 6, 7, 8]))
    assert shadow.finish(again, [9], 0).shortfall == 7
    assert (shadow.stats.evicted, shadow.stats.tokens, shadow.stats.running_tokens) == (8, 8, 0)
