"""Whether a profile fits a server, as a table, and with what the server is as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..profiles import Severity
from .plain import counted

if TYPE_CHECKING:
    from ..profiles import ProfileReport
    from ..server_info import ServerInfo

__all__ = ["report_as_json", "report_table"]

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def report_table(report: ProfileReport) -> Table:
    """All findings with their tokens."""
    errors, warnings = len(report.errors), len(report.warnings)
    table = Table(
        title=Text(f"Profile {report.profile} on the tokenizer {report.tokenizer}"),
        caption=f"{counted(len(report.findings), 'check')}: {counted(errors, 'error')}, {counted(warnings, 'warning')}",
        box=None,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
        header_style="bold underline",
    )
    table.add_column("", no_wrap=True)
    table.add_column("checked", ratio=1)
    table.add_column("found", ratio=3)
    for finding in report.findings:
        found = Text(finding.message)
        for text in finding.evidence:
            found.append(f"\n{text}", style="dim")
        table.add_row(Text(finding.severity, style=_STYLES[finding.severity]), Text(finding.subject), found)
    return table


def report_as_json(report: ProfileReport, info: ServerInfo | None) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "server": None if info is None else asdict(info),
        "profile": report.profile,
        "tokenizer": report.tokenizer,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "findings": [asdict(finding) for finding in report.findings],
    }
