"""Ask a tokenizer what tells whether a profile fits it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .._core.profile_check import check_profile
from .._core.profile_probe import Answers, probe_chat, probe_rows, probe_texts
from ..errors import ConfigurationError, RequestError, RequestRejectedError, ServerFaultError
from ..profiles import CompletionPrompt, Finding, ProfileReport, Severity
from .tokenizers import LocalTokenizer

if TYPE_CHECKING:
    from ..profiles import Profile
    from .tokenizers import BatchTokenizer, ServerTokenizer

__all__ = ["ProfileChecker"]

_log = logging.getLogger("ets_client")


class ProfileChecker:
    """Checks one profile against one tokenizer, once."""

    def __init__(
        self, profile: Profile, tokenizer: BatchTokenizer | None, tokenizer_path: str, server: ServerTokenizer | None
    ) -> None:
        """Make it.

        Args:
            profile: what is checked.
            tokenizer: who turns text into ids, or None when nobody here can be asked (behind a router).
            tokenizer_path: how people know the tokenizer.
            server: the server, for its chat template, or None when there is none.
        """
        self._profile = profile
        self._tokenizer = tokenizer
        self._path = tokenizer_path
        self._server = server
        self._report: ProfileReport | None = None

    async def report(self) -> ProfileReport:
        """The findings, asked for at the first call.

        Raises:
            RequestError: the server did not answer. One that refuses to tokenise gives a warning in the report.
        """
        if self._report is None:
            self._report = ProfileReport(self._profile.name, self._path, await self._findings())
        return self._report

    async def _findings(self) -> tuple[Finding, ...]:
        if self._tokenizer is None:
            message = "nothing was checked: SGLang's router does not tokenise several texts at a time"
            return (Finding("tokenizer", Severity.WARNING, message),)
        try:
            return check_profile(self._profile, await self._ask(self._tokenizer))
        except (RequestRejectedError, ServerFaultError) as error:
            message = f"nothing was checked, since the server does not tokenise: {error}"
            return (Finding("tokenizer", Severity.WARNING, message),)

    async def require(self) -> None:
        """Go on only with a profile that fits; warnings are logged.

        Raises:
            ConfigurationError: it does not fit; the message has the exact tokens.
            RequestError: the server did not answer.
        """
        report = await self.report()
        for finding in report.warnings:
            _log.warning("profile %r: %s", report.profile, finding)
        if report.errors:
            found = "\n  ".join(map(str, report.errors))
            raise ConfigurationError(
                f"profile {report.profile!r} does not fit the server's tokenizer {report.tokenizer}:\n  {found}\n"
                "Choose the profile of the model that is served (`ets-client profiles`), or mend this one; "
                "`ets-client check` shows all findings, and check_profile=False goes on all the same"
            )

    async def _ask(self, tokenizer: BatchTokenizer) -> Answers:
        plain_texts, special_texts = probe_texts(self._profile)
        plain = dict(zip(plain_texts, await tokenizer.encode_each(plain_texts, add_special_tokens=False), strict=True))
        special = dict(
            zip(special_texts, await tokenizer.encode_each(special_texts, add_special_tokens=True), strict=True)
        )
        chat, no_chat = await self._chat()
        rows = probe_rows(self._profile, plain, *special.values(), chat or ())
        texts = dict(zip(rows, await tokenizer.decode_each(rows), strict=True))
        size = tokenizer.vocab_size if isinstance(tokenizer, LocalTokenizer) else None
        return Answers(plain, special, texts, chat, no_chat, size)

    async def _chat(self) -> tuple[tuple[int, ...] | None, str]:
        prompt = self._profile.prompt
        if isinstance(prompt, CompletionPrompt):
            return None, ""
        if self._server is None:
            return None, "no server was asked"
        try:
            return await self._server.encode_chat(probe_chat(prompt)), ""
        except (RequestRejectedError, ServerFaultError) as error:
            return None, _reason(error)


def _reason(error: RequestError) -> str:
    """The first line of what a server said."""
    return str(error).partition("\n")[0]
