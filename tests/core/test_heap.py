from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client._core.heap import Heap


@given(st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(-5, 5)))))
def test_a_heap_is_a_dictionary_that_knows_its_least(steps: list[tuple[int, int | None]]) -> None:
    heap: Heap[int] = Heap()
    expected: dict[int, tuple[int, int]] = {}
    for item, key in steps:
        if key is not None:
            heap.set(item, (key, item))
            expected[item] = (key, item)
        elif item in expected:
            heap.remove(item)
            del expected[item]
        assert len(heap) == len(expected)
        assert (item in heap) == (item in expected)
        if expected:
            assert heap.first == min(expected, key=lambda each: expected[each])
            assert heap.front(3)[0] == heap.first
            assert heap.front(100) == sorted(expected, key=lambda each: expected[each])


def test_what_is_not_there_cannot_be_taken_out() -> None:
    heap: Heap[str] = Heap()
    with pytest.raises(KeyError):
        heap.remove("a")
    with pytest.raises(IndexError):
        _ = heap.first
