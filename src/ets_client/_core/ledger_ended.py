"""The trees of a client that ended last."""

from __future__ import annotations

from collections import deque
from dataclasses import fields, replace
from struct import Struct
from typing import TYPE_CHECKING

from ..ledger import LedgerRow

if TYPE_CHECKING:
    from .ledger_tree import TreeAccount

__all__ = ["SUMMED", "EndedTrees"]

_SHOWN = 1024  # by themselves
_FIELDS = [(field.name, str(field.type)) for field in fields(LedgerRow) if field.name != "name"]
SUMMED = [name for name, kind in _FIELDS if kind == "int" and not name.startswith("live")]
_NAME_BYTES = 160  # 40 characters
_ROW = Struct(f"<B{_NAME_BYTES}s" + "".join({"int": "q", "float": "d"}[kind] for _, kind in _FIELDS))


class EndedTrees:
    """Rows of those that ended last, and the sum of all before.

    Of a tree without a scope nothing comes after its end, so its row is kept as bytes: thousands may end in one burst,
    and each object that stayed would keep an arena of CPython's.

    Attributes:
        sum: of the trees that are not shown any more; its ``live`` fields are 0.
    """

    def __init__(self) -> None:
        self.sum = LedgerRow()
        self._trees: deque[TreeAccount | None] = deque()  # None: the next in _rows
        self._rows = bytearray()

    def add(self, tree: TreeAccount, at: float) -> None:
        """A tree has ended."""
        if tree.has_scope:
            self._trees.append(tree)  # calls may still come
        else:
            self._trees.append(None)
            self._rows += _as_bytes(tree.row(at))
        if len(self._trees) > _SHOWN:
            oldest = self._trees.popleft()
            if oldest is not None:
                row = oldest.row(at)
            else:
                row = _from_bytes(self._rows, 0)
                del self._rows[: _ROW.size]
            self.sum = replace(self.sum, **{name: getattr(self.sum, name) + getattr(row, name) for name in SUMMED})

    def rows(self, at: float) -> list[LedgerRow]:
        """Of each that is shown, in the order in which they ended."""
        found: list[LedgerRow] = []
        place = 0
        for tree in self._trees:
            if tree is not None:
                found.append(tree.row(at))
            else:
                found.append(_from_bytes(self._rows, place))
                place += _ROW.size
        return found


def _as_bytes(row: LedgerRow) -> bytes:
    name = row.name.encode("utf-8", "surrogatepass")
    return _ROW.pack(len(name), name, *[getattr(row, field) for field, _ in _FIELDS])


def _from_bytes(rows: bytearray, place: int) -> LedgerRow:
    length, name, *values = _ROW.unpack_from(rows, place)
    text = name[:length].decode("utf-8", "surrogatepass")
    return LedgerRow(text, **{field: value for (field, _), value in zip(_FIELDS, values, strict=True)})
