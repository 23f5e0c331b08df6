"""What the fixed variants do otherwise than the published code, each to be switched alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mended", "Mends", "Variant"]

Variant = Literal["paper", "fixed"]


@dataclass(frozen=True, slots=True)
class Mends:
    """Switches for single mends; None leaves one as the variant has it: on in ``fixed``, off in ``paper``.

    Attributes:
        no_overshoot: never more children than the width, equal scores in order of creation. Published: float32 gives
            one too many at times, and equal scores are served in reverse order (REBASE, ETS); ``ceil(W / beams)`` for
            each beam (beam search).
        account_width: what is over counts, and all the rest is used. Published: an ended step without a score counts
            nothing; DVTS never lowers a subtree's width and loses the remainder of its division; beam search loses the
            shares of beams that it has no nodes for.
        keep_unscored: a step without a score stays a candidate for when there is no other. Published: it is lost.
        distinct_subtrees: DVTS has as many subtrees as first steps at most. Published: it repeats first steps, and
            expands them several times.
        keep_clusters: each cluster that ETS keeps gets a child, from the one that has most. Published: a
            fifth to a third of the kept clusters get none.
        free_at_zero: ``lambda_c = 0`` makes nodes free. Published: each then earns 1e-4 of its share.
        token_cost: a node of ETS costs by its tokens, not as much as any other. Off in both variants.
        count_lost: samples that were dropped or not scored take their width with them. Off in both variants: a level
            of W samples that loses a share q of them would leave a search W * (1 - q * depth) of its width.
    """

    no_overshoot: bool | None = None
    account_width: bool | None = None
    keep_unscored: bool | None = None
    distinct_subtrees: bool | None = None
    keep_clusters: bool | None = None
    free_at_zero: bool | None = None
    token_cost: bool | None = None
    count_lost: bool | None = None

    def of(self, variant: Variant) -> Mends:
        """The same with no switch left open.

        Args:
            variant: what decides where a switch is None.
        """
        chosen = {name: getattr(self, name) for name in _WORDS}
        default = variant == "fixed"
        return Mends(**{
            name: (default and name not in _OPTIONAL) if value is None else value for name, value in chosen.items()
        })  # fmt: skip

    def as_data(self, variant: Variant, names: Iterable[str]) -> dict[str, bool]:
        """How each switch of a method stands, for records.

        Args:
            variant: of the method.
            names: the method's switches.
        """
        resolved = self.of(variant)
        return {name: getattr(resolved, name) for name in names}

    def check(self, variant: str, names: Iterable[str]) -> None:
        """Refuse an unknown variant, and switches that a method does not have.

        Args:
            variant: of the method.
            names: the method's switches.

        Raises:
            ConfigurationError: as said.
        """
        names = list(names)
        if variant not in {"paper", "fixed"}:
            raise ConfigurationError(f"variant = {variant!r}: it is 'paper' or 'fixed'")
        for field in fields(self):
            if getattr(self, field.name) is not None and field.name not in names:
                raise ConfigurationError(f"mend {field.name} means nothing here: this method has {', '.join(names)}")

    def describe(self, variant: Variant, names: Iterable[str]) -> list[str]:
        """One line a switch: how it stands and what that implies.

        Args:
            variant: of the method.
            names: the method's switches.
        """
        resolved = self.of(variant)
        return [
            f"{name} {'on' if getattr(resolved, name) else 'off'}: {_WORDS[name][not getattr(resolved, name)]}"
            for name in names
        ]


_OPTIONAL = frozenset({"token_cost", "count_lost"})

_WORDS = {
    "no_overshoot": (
        "never more children than the width; equal scores in order of creation",
        "as published, more children than the width now and then; equal scores in the published order",
    ),
    "account_width": (
        "all that has ended counts, and all the width that is left is used",
        "as published, ended steps without a score count nothing; DVTS's subtrees never shrink; remainders are lost",
    ),
    "keep_unscored": (
        "steps without a score go on when there are no others",
        "as published, steps without a score are lost",
    ),
    "distinct_subtrees": (
        "no more subtrees than first steps",
        "as published, first steps are repeated until there are enough subtrees, and expanded as often",
    ),
    "keep_clusters": (
        "each kept cluster gets a child",
        "as published, a kept cluster may get no child",
    ),
    "free_at_zero": (
        "lambda_c = 0 makes nodes free",
        "as published, lambda_c = 0 pays each node 1e-4 of its share",
    ),
    "token_cost": (
        "a node costs by its tokens",
        "as published, all nodes cost the same",
    ),
    "count_lost": (
        "samples that were lost take their width with them",
        "as published, the width of lost samples is spent again",
    ),
}  # fmt: skip


@runtime_checkable
class Mended(Protocol):
    """A method that has been published with defects.

    Attributes:
        switches: the mends that it has.
    """

    switches: ClassVar[tuple[str, ...]]

    @property
    def variant(self) -> Variant:
        """As published, or mended."""
        ...

    @property
    def mends(self) -> Mends:
        """Switches to set otherwise than the variant has them."""
        ...
