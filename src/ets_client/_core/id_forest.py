"""Trees of runs of token ids, whose nodes are numbers."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from .id_runs import ID_BYTES, common_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["IdForest"]

_ROOM = 64  # nodes at first
_NUMBERS = tuple(range(1 << 14))  # for marks: made in the middle of a burst, each would keep an arena
_AGES = 64  # made at once, for the same reason
_SHARED_CHUNK = 1 << 14  # bytes; short runs stand in chunks of this size, and the last to go keeps its chunk
_OWN_CHUNK = 480  # a run as long as this is kept as it came: with its header it is no pymalloc block


class IdForest:
    """Runs of token ids; sequences that begin alike share their first nodes. A node is a number, and 0 is no node.

    All that is known of a node stands in arrays, at its number. An object for each would do, but CPython gives memory
    back by arenas of 1 MB, and one small object that outlives the calls among which it was made keeps one: after 4,096
    expands at once, the nodes alone kept all of the 80 MB that the expands had needed.

    Attributes:
        parent: the node above; 0 of a root.
        end: tokens from the root to the end of the node. Splitting keeps it: the new node is the upper part.
        child: the oldest node below; 0 without any.
    """

    def __init__(self, unit: int) -> None:
        """Make it without nodes.

        Args:
            unit: bytes that are kept together, and by which a node's children are told apart.
        """
        self._unit = unit
        self._size = _ROOM
        self._ages = [object() for _ in range(_AGES)]  # what a number means, by how often it became free
        self._columns: list[array[int]] = []
        self.parent, self.end, self.child = self.column(), self.column(), self.column()
        self._next, self._before = self.column(), self.column()  # children of one node, in a ring
        self._hash, self._chain = self.column(), self.column()  # of the first unit, and the next node with a like one
        self._chunk, self._start = self.column(), self.column()  # where the ids are
        self._removed = self.column()  # how often a number became free
        self._heads = array("q", bytes(8 * _ROOM))
        self._mask = _ROOM - 1
        self._chunks: list[bytes | bytearray] = [b""]
        self._uses = array("q", [1])  # of each chunk
        self._unused = array("q")  # chunks
        self._open = 0
        self._free = self._last_free = 0  # numbers, each with the next; the one that was free longest is used first
        self._link_free(1)

    def column(self) -> array[int]:
        """A value for each node: 0 at first, and then what it was when another node had the number."""
        new = array("q", bytes(8 * self._size))
        self._columns.append(new)
        return new

    def mark(self, node: int) -> tuple[object, int]:
        """What a node can be remembered by, for when it is gone its number is given to another."""
        return self._ages[self._removed[node]], _NUMBERS[node] if node < len(_NUMBERS) else node

    def marked(self, age: object, number: int) -> int:
        """The node of this forest that has this mark, or 0 when there is none."""
        return number if number < self._size and self._ages[self._removed[number]] is age else 0

    def root(self) -> int:
        """A new root."""
        return self._add(0, 0)

    def children(self, node: int) -> Iterator[int]:
        """The nodes right below one, the oldest first."""
        first = each = self.child[node]
        while each:
            yield each
            each = self._next[each]
            if each == first:
                return

    def find(self, node: int, rest: bytes, at: int = 0) -> int:
        """The child of a node that begins like ``rest`` from ``at`` on; 0 when there is none, or less than a unit."""
        if not self.child[node]:
            return 0
        first = rest[at : at + self._unit]
        code = hash(first)
        each = self._heads[(code ^ node) & self._mask]
        while each:
            if (
                self._hash[each] == code
                and self.parent[each] == node
                and self._chunks[self._chunk[each]].startswith(first, self._start[each])
            ):
                return each
            each = self._chain[each]
        return 0

    def run(self, node: int) -> bytes | bytearray:
        """The ids of a node, four bytes each, so that comparing is one memcmp."""
        start = self._start[node]
        return self._chunks[self._chunk[node]][
            start : start + (self.end[node] - self.end[self.parent[node]]) * ID_BYTES
        ]

    def walk(self, node: int, rest: bytes) -> tuple[int, int]:
        """The last node that ``rest`` enters below ``node``, and how many bytes of it are held."""
        at, size = 0, len(rest)
        while at < size and (child := self.find(node, rest, at)):
            run = self.run(child)
            if not rest.startswith(run, at):
                return child, at + common_bytes(run, rest[at : at + len(run)], self._unit)
            at += len(run)
            node = child
        return node, at

    def grow(self, node: int, ids: bytes, at: int = 0) -> int:
        """A new leaf below ``node``, none of whose children begins like ``ids`` from byte ``at`` on, which it holds."""
        size = len(ids) - at
        leaf = self._add(node, self.end[node] + size // ID_BYTES)
        if size >= _OWN_CHUNK:
            # A prompt's bytes belong to its prefix, and with a copy for each who keeps its end it is there three times.
            if at > size:
                ids, at = ids[at:], 0
            place, start = self._new_chunk(ids), at
        else:
            chunk = self._chunks[self._open]
            if not isinstance(chunk, bytearray) or len(chunk) > _SHARED_CHUNK:
                chunk = bytearray()
                self._open = self._new_chunk(chunk)
            place, start = self._open, len(chunk)
            chunk += ids[at:]
        self._chunk[leaf], self._start[leaf] = place, start
        self._uses[place] += 1
        self._hash[leaf] = hash(ids[at : at + self._unit])
        self._hang(leaf, node)
        return leaf

    def split(self, node: int, length: int) -> int:
        """Make a node of the part of another that ends ``length`` tokens from the root.

        Returns:
            The new node, which is the upper part.
        """
        above = self.parent[node]
        upper = self._add(above, length)
        chunk, start = self._chunk[node], self._start[node]
        self._chunk[upper], self._start[upper] = chunk, start
        self._uses[chunk] += 1
        self._put_in_place_of(node, upper)
        start += (length - self.end[above]) * ID_BYTES
        self._start[node] = start
        self._hash[node] = hash(bytes(self._chunks[chunk][start : start + self._unit]))
        self.parent[node] = upper
        self._hang(node, upper)
        return upper

    def remove(self, leaf: int) -> int:
        """Drop a leaf, or a root that has no children.

        Returns:
            Its parent.
        """
        above = self.parent[leaf]
        if above:
            self._unhang(leaf)
            chunk = self._chunk[leaf]
            self._uses[chunk] -= 1
            if not self._uses[chunk]:
                self._chunks[chunk] = b""
                self._unused.append(chunk)
        age = self._removed[leaf] = self._removed[leaf] + 1
        if age == len(self._ages):
            self._ages.extend([object() for _ in range(_AGES)])
        self._next[leaf] = 0
        if self._free:
            self._next[self._last_free] = leaf
        else:
            self._free = leaf
        self._last_free = leaf
        return above

    def _add(self, parent: int, end: int) -> int:
        node = self._free
        if not node:
            node = self._make_room()
        self._free = self._next[node]
        self.parent[node], self.end[node], self.child[node] = parent, end, 0
        return node

    def _hang(self, node: int, above: int) -> None:
        """Let a node be found as the youngest child of another."""
        after, before = self._next, self._before
        if first := self.child[above]:
            last = before[first]
            after[last] = before[first] = node
            after[node], before[node] = first, last
        else:
            self.child[above] = after[node] = before[node] = node
        place = (self._hash[node] ^ above) & self._mask
        self._chain[node] = self._heads[place]
        self._heads[place] = node

    def _put_in_place_of(self, node: int, other: int) -> None:
        """Let another node, which begins alike, be found where a node was."""
        above, after, before = self.parent[node], self._next[node], self._before[node]
        if after == node:
            self._next[other] = self._before[other] = other
        else:
            self._next[other], self._before[other] = after, before
            self._next[before] = self._before[after] = other
        if self.child[above] == node:
            self.child[above] = other
        self._hash[other] = self._hash[node]
        self._chain[other] = self._chain[node]
        self._relink(node, above, other)

    def _relink(self, node: int, above: int, to: int) -> None:
        """Let what leads to a node in its chain lead to another."""
        place = (self._hash[node] ^ above) & self._mask
        each = self._heads[place]
        if each == node:
            self._heads[place] = to
            return
        chain = self._chain
        while chain[each] != node:
            each = chain[each]
        chain[each] = to

    def _unhang(self, node: int) -> None:
        above, after, before = self.parent[node], self._next[node], self._before[node]
        self.parent[node] = 0
        self._next[before], self._before[after] = after, before
        if self.child[above] == node:
            self.child[above] = 0 if after == node else after
        self._relink(node, above, self._chain[node])

    def _new_chunk(self, ids: bytes | bytearray) -> int:
        if self._unused:
            chunk = self._unused.pop()
            self._chunks[chunk] = ids
            return chunk
        self._chunks.append(ids)
        self._uses.append(0)
        return len(self._chunks) - 1

    def _make_room(self) -> int:
        """Twice as many nodes.

        Returns:
            The first of the new numbers, all of which are free.
        """
        size = self._size
        self._size = 2 * size
        for column in self._columns:
            column.frombytes(bytes(8 * size))
        self._heads = array("q", bytes(8 * 2 * size))
        self._mask = 2 * size - 1
        for node in range(1, size):
            if above := self.parent[node]:
                place = (self._hash[node] ^ above) & self._mask
                self._chain[node], self._heads[place] = self._heads[place], node
        self._link_free(size)
        return size

    def _link_free(self, first: int) -> None:
        size = self._size
        self._next[first:] = array("q", [*range(first + 1, size), 0])
        self._free, self._last_free = first, size - 1
