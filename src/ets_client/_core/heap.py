"""A heap whose items can be moved and taken out by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Heap"]

Item = TypeVar("Item", bound="Hashable")
Key = tuple[float, ...]


class Heap(Generic[Item]):
    """Items by key, the least first. Setting, changing and removing take O(log n), looking at the first O(1).

    ``heapq`` cannot remove: tombstones would stay when tickets are cancelled and trees change their place all the time.
    """

    __slots__ = ("_entries", "_places")

    def __init__(self) -> None:
        self._entries: list[tuple[Key, Item]] = []
        self._places: dict[Item, int] = {}

    def set(self, item: Item, key: Key) -> None:
        """Put an item in, or give it another key. Keys of different items must differ: items are not compared."""
        place = self._places.get(item)
        if place is None:
            place = len(self._entries)
            self._entries.append((key, item))
        self._settle(place, (key, item))

    def remove(self, item: Item) -> None:
        """Take an item out.

        Raises:
            KeyError: it is not here.
        """
        place = self._places.pop(item)
        last = self._entries.pop()
        if place < len(self._entries):
            self._settle(place, last)

    @property
    def first(self) -> Item:
        """The item with the least key.

        Raises:
            IndexError: the heap is empty.
        """
        return self._entries[0][1]

    def front(self, most: int) -> list[Item]:
        """The first item and some that come soon after it, in order: at most ``most``, looked for in O(most)."""
        return [item for _, item in sorted(self._entries[:most], key=lambda entry: entry[0])]

    def __contains__(self, item: object) -> bool:
        return item in self._places

    def __len__(self) -> int:
        return len(self._entries)

    def _settle(self, place: int, entry: tuple[Key, Item]) -> None:
        """Write an entry at a place that is free for it, then up or down to where it belongs."""
        entries, places, key = self._entries, self._places, entry[0]
        while place and key < entries[parent := (place - 1) >> 1][0]:
            entries[place] = entries[parent]
            places[entries[place][1]] = place
            place = parent
        size = len(entries)
        while (child := 2 * place + 1) < size:
            if child + 1 < size and entries[child + 1][0] < entries[child][0]:
                child += 1
            if key <= entries[child][0]:
                break
            entries[place] = entries[child]
            places[entries[place][1]] = place
            place = child
        entries[place] = entry
        places[entry[1]] = place
