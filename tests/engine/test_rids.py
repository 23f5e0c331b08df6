from __future__ import annotations

import pytest

from ets_client._engine.rids import new_rid, new_rids


@pytest.mark.parametrize("count", [0, 1, 8, 4096])
def test_no_request_id_is_another_or_the_beginning_of_another(count: int) -> None:
    rids = new_rids(count)
    assert len(set(rids)) == len(rids) == count
    assert {len(rid) for rid in (*rids, new_rid())} == {32}
