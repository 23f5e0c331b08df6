"""Decide all sampling fields of a call: what was asked, over what the client and the profile say, within the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._record import Record
from ..errors import InvalidRequestError
from .guard import check_fits
from .limits import StepLimit, step_limit

if TYPE_CHECKING:
    from ..prefix import Prefix
    from ..profiles import Profile
    from ..sampling import SamplingParams
    from ..server_info import ServerInfo

__all__ = ["StepSettings", "path_settings", "settle", "step_settings"]


class StepSettings(Record, frozen=True):
    """What was asked, before the prefix is looked at.

    Attributes:
        sampling: fields of call, client and profile together.
        step_tokens: longest step, or None for the rest of the path.
        path_tokens: longest path after the root, or None when the caller decides the length alone.
    """

    sampling: SamplingParams
    step_tokens: int | None
    path_tokens: int | None


def step_settings(profile: Profile, asked: SamplingParams) -> StepSettings:
    """Settings of one step: it ends at the profile's delimiters unless the caller gave stop strings.

    Args:
        profile: steps and default sampling.
        asked: fields of the call and of the client. A ``max_new_tokens`` here overrides the path's length too.
    """
    sampling = asked.over(profile.sampling)
    length = sampling.max_new_tokens or profile.steps.max_step_tokens
    path = None if asked.max_new_tokens else profile.steps.max_path_tokens
    if sampling.stop is None:
        sampling = sampling.changed({"stop": profile.steps.delimiters})
    return StepSettings(sampling, length, path)


def path_settings(profile: Profile, asked: SamplingParams) -> StepSettings:
    """Settings of a continuation that runs through all steps.

    Args:
        profile: default sampling and the path's length.
        asked: fields of the call and of the client.
    """
    path = None if asked.max_new_tokens else profile.steps.max_path_tokens
    return StepSettings(asked.over(profile.sampling), asked.max_new_tokens, path)


def settle(
    settings: StepSettings, prefix: Prefix, info: ServerInfo, spare_seed: int | None
) -> tuple[SamplingParams, StepLimit]:
    """Fit settings to a prefix and a server.

    Args:
        settings: what was asked.
        prefix: where to go on.
        info: the server's limits.
        spare_seed: seed to use when none was given, or None to send none.

    Returns:
        All fields to send, and the limit that ``max_new_tokens`` stands for.

    Raises:
        InvalidRequestError: there is no room for another token.
    """
    length, window = len(prefix), info.window_tokens
    check_fits(length, info.max_input_tokens)
    path = 0 if prefix.parent is None else length - len(prefix.root)
    room = None if settings.path_tokens is None else settings.path_tokens - path
    limit = step_limit(settings.step_tokens, room, length, window)
    if limit.tokens < 1:
        raise InvalidRequestError(
            "prefix",
            f"{length} tokens, {path} after the root",
            f"there is no room for another step: the profile allows {settings.path_tokens or window} tokens after the "
            f"root (sampling.max_new_tokens overrides it), the server {window or 'an unknown number'} in all",
        )
    sampling = settings.sampling
    fields: dict[str, Any] = {"max_new_tokens": limit.tokens}
    if sampling.min_new_tokens is not None:
        fields["min_new_tokens"] = min(sampling.min_new_tokens, limit.tokens)
    if sampling.seed is None and spare_seed is not None:
        fields["seed"] = spare_seed
    return sampling.changed(fields), limit
