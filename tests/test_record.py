import copy
import dataclasses
import pickle
import weakref

import pytest

from ets_client._record import Record


class Point(Record, frozen=True):
    """A record."""

    x: int
    name: str = "origin"
    tags: tuple[str, ...] = ()


def test_a_record_is_made_by_place_or_by_name_with_defaults() -> None:
    assert Point(1, "a") == Point(x=1, name="a") != Point(1)
    assert repr(Point(1)) == "Point(x=1, name='origin', tags=())"
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Point(1).x = 2  # type: ignore[misc]


def test_a_record_is_a_dataclass_to_whoever_asks() -> None:
    point = Point(1, tags=("t",))
    assert dataclasses.is_dataclass(point)
    assert [field.name for field in dataclasses.fields(point)] == ["x", "name", "tags"]
    assert dataclasses.asdict(point) == {"x": 1, "name": "origin", "tags": ("t",)}
    assert dataclasses.replace(point, x=2) == Point(2, "origin", ("t",))


def test_a_record_is_copied_pickled_matched_and_referred_to_weakly() -> None:
    point = Point(1)
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == copy.copy(point) == point
    assert weakref.ref(point)() is point
    match point:
        case Point(x, name):
            assert (x, name) == (1, "origin")
