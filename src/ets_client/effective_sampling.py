"""Which sampling counts, field by field, and who decided it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EffectiveField", "EffectiveSampling", "SamplingSource"]

_WIDEST_VALUE = 40


class SamplingSource(StrEnum):
    """Who decided a field, from the strongest to the weakest."""

    CALL = "call"
    CLIENT = "client"
    PROFILE = "profile"
    SERVER = "server"  # its --preferred-sampling-params, its limits, or its way with seeds
    SGLANG = "SGLang's default"


@dataclass(frozen=True, slots=True)
class EffectiveField:
    """One field.

    Attributes:
        name: of :class:`SamplingParams`; fields of the server's own that have no name there keep SGLang's.
        value: what counts; None when the field is off.
        source: who decided it.
        note: what there is to know about it, or "".
    """

    name: str
    value: object
    source: SamplingSource
    note: str = ""


@dataclass(frozen=True)
class EffectiveSampling:
    """What counts in a call, field by field; ``print`` it. Iterating gives each field, ``found["top_p"]`` one by name.

    Attributes:
        fields: all of them, in the order of :class:`SamplingParams`.
    """

    fields: tuple[EffectiveField, ...]

    def __getitem__(self, name: str) -> EffectiveField:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def __iter__(self) -> Iterator[EffectiveField]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __str__(self) -> str:
        rows = [("field", "value", "from")]
        for field in self.fields:
            told = f"{field.source.value}: {field.note}" if field.note else field.source.value
            rows.append((field.name, _shown(field.value), told))
        names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{name:<{names}}  {value:<{values}}  {told}" for name, value, told in rows)


def _shown(value: object) -> str:
    shown = "-" if value is None else repr(value)
    return shown if len(shown) <= _WIDEST_VALUE else f"{shown[: _WIDEST_VALUE - 1]}…"
