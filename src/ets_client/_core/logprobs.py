"""Which log-probabilities a server can be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidRequestError
from ..logprobs import LogprobOptions
from .guard import check_ids
from .versions import takes_chosen_ids

if TYPE_CHECKING:
    from ..server_info import ServerInfo

__all__ = ["check_logprobs"]

_LEAST_VOCABULARY = 256  # a token for each byte; no served model has fewer


def check_logprobs(given: object, info: ServerInfo, vocab_size: int | None) -> LogprobOptions | None:
    """Check what was given as ``logprobs``.

    SGLang checks ``token_ids_logprob`` and does not check ``top_logprobs_num``: more than the vocabulary kills it.

    Args:
        given: what the caller gave.
        info: the server.
        vocab_size: rows of the model's embedding table, or None when nobody knows it.

    Returns:
        The options, or None when no log-probabilities are wanted.

    Raises:
        InvalidRequestError: it is something else, more than the vocabulary, or what this server would die of.
    """
    if isinstance(given, bool):
        return LogprobOptions() if given else None
    if not isinstance(given, LogprobOptions):
        raise InvalidRequestError("logprobs", given, "True, False or LogprobOptions(...)")
    most = vocab_size or _LEAST_VOCABULARY
    if given.top > most:
        known = "the vocabulary" if vocab_size else "more needs a profile whose model.vocab_size is set"
        raise InvalidRequestError("logprobs.top", given.top, f"at most {most} ({known})")
    if given.chosen:
        if not takes_chosen_ids(info.version):
            raise InvalidRequestError(
                "logprobs.chosen",
                given.chosen,
                f"this server (SGLang {info.version or 'of an unknown version'}) dies when samples with chosen ids run "
                "beside others: use 0.5.21 or newer, or `top`, which is safe",
            )
        check_ids(given.chosen, vocab_size, "logprobs.chosen")
    return given
