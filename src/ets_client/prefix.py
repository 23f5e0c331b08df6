"""A path of token ids from the root of a search to one of its nodes, sharing every token with its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._packed import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._core.ledger import Maker

__all__ = ["Origin", "Prefix"]

# A polynomial in 2**32 of the ids, modulo a prime below 2**64 of which 2 is a primitive root: long division does in C
# what a loop over the ids does in a tenfold time, wherever a path is cut.
_MODULUS = (1 << 64) - 1469


@dataclass(frozen=True, slots=True)
class Origin:
    """What all prefixes of one tree have in common.

    Attributes:
        tokenizer: which tokenizer the ids belong to, as the server names it.
        namespace: SGLang's ``extra_key``: prefixes of different namespaces never share cache. None for the common one.
    """

    tokenizer: str
    namespace: str | None = None


class Prefix:
    """An immutable path of token ids. A child holds its own tokens and points to its parent.

    Made by :meth:`AsyncPolicyClient.prefix`, :meth:`AsyncPolicyClient.root` and by :attr:`Branch.prefix`; ids are what
    the server computed and caches, text is only a view of them.

    Two prefixes are equal when their token ids and their origin are, however they were cut into steps.
    """

    __slots__ = (
        "_bytes",
        "_hash",
        "_ids",
        "_length",
        "_origin",
        "_parent",
        "_text",
        "entered_at",
        "entered_in",
        "held_at",
        "held_in",
        "made_by",
    )

    def __init__(self, ids: Sequence[int], text: str, *, parent: Prefix | None = None, origin: Origin) -> None:
        """Not for users: ids given here are trusted to be inside the vocabulary."""
        self._ids = tuple(ids)
        self._text = text
        self._parent = parent
        self._origin = origin
        self._length: int = len(self._ids) + (parent._length if parent is not None else 0)
        self._hash: int | None = None  # of the path; most leaves of a search are never asked for theirs
        # A root is long, and more than one keep its ids: the model of the server's cache, and the ledger.
        self._bytes = packed(self._ids) if parent is None else None
        # Where a client's model of its server's cache found this path last; IdForest knows whether it still is there.
        self.held_in: object = None
        self.held_at = 0
        # Where a client's ledger entered this prompt last, told alike.
        self.entered_in: object = None
        self.entered_at = 0
        # Which client's sample generated its step; None when it was given.
        self.made_by: Maker | None = None

    def child(self, ids: Sequence[int], text: str) -> Prefix:
        """This path continued by one step.

        Args:
            ids: the step's token ids, delimiter included.
            text: the text of exactly these ids.
        """
        return Prefix(ids, text, parent=self, origin=self._origin)

    @property
    def parent(self) -> Prefix | None:
        """The prefix this one continues, or None for a root."""
        return self._parent

    @property
    def root(self) -> Prefix:
        """The prefix at the top of this path."""
        node = self
        while node._parent is not None:
            node = node._parent
        return node

    @property
    def path(self) -> tuple[Prefix, ...]:
        """All prefixes from the root to this one."""
        nodes: list[Prefix] = []
        node: Prefix | None = self
        while node is not None:
            nodes.append(node)
            node = node._parent
        return tuple(reversed(nodes))

    @property
    def token_ids(self) -> list[int]:
        """The token ids of the whole path, as a new list."""
        ids: list[int] = []
        for node in self.path:
            ids += node._ids
        return ids

    @property
    def step_token_ids(self) -> tuple[int, ...]:
        """The token ids that this prefix adds to its parent (of a root: all of them)."""
        return self._ids

    @property
    def step_bytes(self) -> bytes:
        """:attr:`step_token_ids` as four bytes each."""
        return packed(self._ids) if self._bytes is None else self._bytes

    @property
    def path_bytes(self) -> bytes:
        """:attr:`token_ids` as four bytes each."""
        if self._parent is None:
            return self.step_bytes
        return b"".join([node.step_bytes for node in self.path])

    @property
    def text(self) -> str:
        """The text of the whole path, matched stops included."""
        return "".join(node._text for node in self.path)

    @property
    def step_text(self) -> str:
        """The text that this prefix adds to its parent."""
        return self._text

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Token offsets at which the steps begin; the first is the length of the root. Empty for a root."""
        return tuple(node._length for node in self.path[:-1])

    @property
    def depth(self) -> int:
        """Number of steps after the root."""
        return len(self.path) - 1

    @property
    def origin(self) -> Origin:
        """The tokenizer and the cache namespace of this path."""
        return self._origin

    @property
    def fingerprint(self) -> tuple[str | None, int, int]:
        """A hash of namespace and tokens that does not depend on where the steps begin; equal paths have equal ones."""
        return self._origin.namespace, self._length, self._hash if self._hash is not None else self._rolled()

    def common_length(self, other: Prefix) -> int:
        """How many tokens from the beginning are the same in both; 0 across origins."""
        if self._origin != other._origin:
            return 0
        mine, theirs = self.path, other.path
        shared = 0
        for one, two in zip(mine, theirs, strict=False):
            if one is not two:
                break
            shared = one._length
        ours, others = self.token_ids, other.token_ids
        length = min(len(ours), len(others))
        while shared < length and ours[shared] == others[shared]:
            shared += 1
        return shared

    def _rolled(self) -> int:
        new: list[Prefix] = []
        node: Prefix | None = self
        while node is not None and node._hash is None:
            new.append(node)
            node = node._parent
        value = 0 if node is None or node._hash is None else node._hash
        for each in reversed(new):
            value = each._hash = int.from_bytes(value.to_bytes(8, "big") + each.step_bytes, "big") % _MODULUS
        return value

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prefix):
            return NotImplemented
        return self is other or (
            self.fingerprint == other.fingerprint
            and self._origin == other._origin
            and self.token_ids == other.token_ids
        )

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        tail = self.text[-40:]
        return f"Prefix({self._length} tokens, depth {self.depth}, …{tail!r})"
