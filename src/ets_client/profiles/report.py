"""What a check of a profile against a tokenizer found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "ProfileReport", "Severity", "TokenizedText"]


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # it works, though perhaps not as was meant
    ERROR = "error"  # searches with this profile would go wrong on this model


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text and the tokens that it becomes.

    Attributes:
        text: the text; it stood in a longer one where ``token_ids`` are its tokens there.
        token_ids: its token ids.
        pieces: the text of each token alone. SentencePiece tokenizers leave out a leading space there.
    """

    text: str
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...]

    def __str__(self) -> str:
        tokens = [f"{token} {piece!r}" for token, piece in zip(self.token_ids, self.pieces, strict=True)]
        return f"{self.text!r} is {', '.join(tokens) or 'no token'}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        subject: what was checked.
        severity: how bad it is.
        message: what was found, and what to do when it is not ok.
        evidence: the exact tokens.
    """

    subject: str
    severity: Severity
    message: str
    evidence: tuple[TokenizedText, ...] = ()

    def __str__(self) -> str:
        tokens = "; ".join(map(str, self.evidence))
        return f"{self.severity}: {self.subject}: {self.message}{f' [{tokens}]' if tokens else ''}"


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """All findings of a check.

    Attributes:
        profile: the profile's name.
        tokenizer: whose tokenizer it was checked against.
        findings: in the order of the profile's fields.
    """

    profile: str
    tokenizer: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the profile wrong for the model."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that somebody should look at."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    def __str__(self) -> str:
        lines = [f"profile {self.profile!r} on the tokenizer {self.tokenizer}:", *map(str, self.findings)]
        return "\n  ".join(lines)
