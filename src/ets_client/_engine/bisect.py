"""Many prompts in one request, of which one may be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .._together import together
from ..errors import RequestRejectedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from ..prefix import Prefix

__all__ = ["outcomes_of"]

T = TypeVar("T")


async def outcomes_of(
    prefixes: Sequence[Prefix],
    group_of: Callable[[Prefix], Hashable],
    ask: Callable[[Sequence[Prefix]], Awaitable[Sequence[T]]],
) -> list[T | RequestRejectedError]:
    """Ask for all of them in as few requests as can be.

    SGLang refuses a batch as a whole for one bad member, so a batch that is refused is halved until the bad ones stand
    alone. Only prompts that differ are worth that: the samples of one prompt are all refused or none.

    Args:
        prefixes: what to ask for.
        group_of: those with the same key can go in one request.
        ask: makes one request.

    Returns:
        One outcome a prefix, in order.

    Raises:
        RequestRejectedError: each of them was refused alone.
        RequestError: a request failed otherwise.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, prefix in enumerate(prefixes):
        groups.setdefault(group_of(prefix), []).append(place)
    outcomes: dict[int, T | RequestRejectedError] = {}

    async def settle(places: Sequence[int]) -> None:
        try:
            found = await ask([prefixes[place] for place in places])
        except RequestRejectedError as error:
            if len(places) == 1:
                outcomes[places[0]] = error
                return
            middle = len(places) // 2
            await settle(places[:middle])
            await settle(places[middle:])
        else:
            outcomes.update(zip(places, found, strict=True))

    await together(settle(places) for places in groups.values())
    in_order = [outcomes[place] for place in range(len(prefixes))]
    refused = [outcome for outcome in in_order if isinstance(outcome, RequestRejectedError)]
    if len(refused) == len(prefixes):
        raise refused[0]
    return in_order
