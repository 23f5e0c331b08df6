from __future__ import annotations

import multiprocessing
import random

import pytest

from ets_client._engine.rids import new_rid, new_rids


@pytest.mark.parametrize("count", [0, 1, 8, 4096])
def test_no_request_id_is_another_or_the_beginning_of_another(count: int) -> None:
    rids = new_rids(count)
    assert len(set(rids)) == len(rids) == count
    assert {len(rid) for rid in (*rids, new_rid())} == {32}


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_request_ids_of_its_own() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        theirs = pool.map(new_rids, [64, 64], chunksize=1)
    assert not set(new_rids(64)) & {rid for rids in theirs for rid in rids}


def test_a_seed_of_the_users_makes_no_request_ids_come_again() -> None:
    state = random.getstate()
    random.seed(5)
    first = new_rid()
    random.seed(5)
    assert new_rid() != first
    random.setstate(state)
