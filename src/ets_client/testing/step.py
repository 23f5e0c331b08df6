"""One forward pass of the scheduler. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .job import Job

__all__ = ["Step"]


@dataclass(slots=True)
class Step:
    """One forward pass.

    Attributes:
        prefills: (sample, tokens computed) of a prefill; the last sample may be computed in part.
        decodes: samples that get one token each, when it is no prefill.
    """

    prefills: list[tuple[Job, int]] = field(default_factory=list["tuple[Job, int]"])
    decodes: list[Job] = field(default_factory=list["Job"])

    @property
    def prefill_tokens(self) -> int:
        """Prompt tokens computed."""
        return sum(tokens for _, tokens in self.prefills)

    @property
    def mixes_label_ids(self) -> bool:
        """Whether tokens are drawn for samples with ``token_ids_logprob`` and for samples without it together."""
        jobs = self.decodes or [job for job, _ in self.prefills]
        if all(job.sampling.max_new_tokens == 0 for job in jobs):
            return False  # SGLang takes another way when nothing is drawn at all (is_prefill_only)
        # Only looked at when somebody wants log-probabilities; those who named ids without wanting any count, too.
        return any(job.logprobs is not None for job in jobs) and len({job.names_label_ids for job in jobs}) > 1
