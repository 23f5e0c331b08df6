"""What a way of asking cannot carry, refused by name before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from ..sampling import SamplingParams
    from .plan import Shape

__all__ = ["check_shape", "require"]

_NOT_FORWARDED = ("logit_bias", "stop_regex", "spaces_between_special_tokens")  # seen with 0.3.2 and smg 1.13.0


def require(is_there: bool, feature: str, reason: str) -> None:  # noqa: FBT001 - the fact that decides
    """Refuse a call that this server has no answer to.

    Args:
        is_there: whether it has.
        feature: the call.
        reason: why not, and what to do instead.

    Raises:
        UnsupportedError: it has not.
    """
    if not is_there:
        raise UnsupportedError(feature, reason)


def check_shape(shape: Shape, sampling: SamplingParams, n: int) -> None:
    """Refuse sampling that a request of this shape would lose silently.

    Args:
        shape: what one request for several samples looks like.
        sampling: all fields of the call.
        n: samples.

    Raises:
        UnsupportedError: a field would be dropped, or all samples would have the same seed.
    """
    if shape == "batch":
        return
    if shape == "router":
        for field in _NOT_FORWARDED:
            if getattr(sampling, field) is not None:
                raise UnsupportedError(
                    f"sampling.{field}",
                    "SGLang's router drops it silently; leave it out, or ask a server at its own address",
                )
    if n > 1 and sampling.seed is not None:
        sender = "SGLang's router takes" if shape == "router" else "SGLang's own n= has"
        raise UnsupportedError(
            f"sampling.seed with n = {n}",
            f"{sender} one seed for all, and a server that uses seeds (--enable-deterministic-inference) would give "
            f"{n} equal samples; expand with n = 1 and a seed each, or ask a server directly with the plan 'batch'",
        )
