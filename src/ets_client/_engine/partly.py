"""An expand of which some samples may be missing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..branch import Expansion, SampleFailure
from ..errors import RequestError
from .branches import Found

if TYPE_CHECKING:
    from ..branch import Branch
    from .expander import Expander, ExpandRequest
    from .pending import PendingCall

__all__ = ["expand_partly"]


async def expand_partly(expander: Expander, request: ExpandRequest, call: PendingCall | None = None) -> Expansion:
    """Run an expand as a stream, and keep what had ended when it fails or its time is over.

    Args:
        expander: runs it.
        request: what to expand.
        call: as in :meth:`Expander.expand`.

    Raises:
        RequestError: no sample ended.
    """
    start = time.monotonic()
    stream = await expander.open(request, call, every_token=False)
    branches: dict[int, Branch] = {}
    failures: dict[int, RequestError] = {}
    try:
        while len(branches) + len(failures) < request.n:
            try:
                part = await stream.part()
                if part is None:
                    break
                if part.sample is not None:
                    found = Found(part.sample, part.logprobs, stream.running(part.index))
                    (branches[part.index],) = await expander.branches.make(
                        request.prefix, request.sampling, request.limit, request.deadline, [found]
                    )
            except RequestError as error:
                failed = [place for place in range(request.n) if place not in branches and place not in failures]
                alone = [place for place in failed if stream.rids and stream.rids[place] in error.rids]
                places = alone if len(error.rids) == 1 and alone else failed
                failures.update(dict.fromkeys(places, error))
    finally:
        await stream.aclose()
    if not branches:
        raise failures[min(failures)]
    return Expansion(
        request.prefix,
        tuple(branches[place] for place in sorted(branches)),
        f"a stream of {request.n}, of which {len(branches)} ended",
        stream.warmed,
        time.monotonic() - start,
        request.sampling,
        tuple(SampleFailure(place, failures[place]) for place in sorted(failures)),
    )
