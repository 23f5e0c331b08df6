"""`ets-client check`: what a server is, and whether a profile fits its tokenizer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..errors import EtsClientError
from ..tokenizer_check import check_tokenizer
from .failures import fail
from .findings import report_as_json, report_table
from .servers import client_of

if TYPE_CHECKING:
    from ..profiles import ProfileReport
    from ..server_info import ServerInfo

__all__ = ["check"]


def check(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Address of the server.", show_default="http://127.0.0.1:30000")
    ] = None,
    endpoint: Annotated[
        Path | None, typer.Option(help="Endpoint file of `ets-server up`, instead of URL.", show_default=False)
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json or its folder, instead of a server.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Profile name or file.", show_default="the one that --endpoint names")
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what a server is, and whether a profile fits its tokenizer.

    Exits with 1 when the profile does not fit, or the server does not answer.
    """
    if sum(source is not None for source in (url, endpoint, tokenizer)) > 1:
        raise typer.BadParameter("give a URL, --endpoint or --tokenizer, only one of them")
    if tokenizer is not None and profile is None:
        raise typer.BadParameter("--tokenizer needs --profile")
    try:
        report, info = asyncio.run(_check(url, endpoint, tokenizer, profile))
    except EtsClientError as error:
        fail(error)
    if is_json:
        typer.echo(json.dumps(report_as_json(report, info), indent=1, ensure_ascii=False))
    else:
        console = Console()
        if info is not None:
            console.print(str(info), markup=False, highlight=False, soft_wrap=True)
            console.print()
        console.print(report_table(report))
    if report.errors:
        raise typer.Exit(1)


async def _check(
    url: str | None, endpoint: Path | None, tokenizer: Path | None, profile: str | None
) -> tuple[ProfileReport, ServerInfo | None]:
    if tokenizer is not None and profile is not None:
        return await check_tokenizer(tokenizer, profile), None
    async with client_of(url, endpoint, profile, check_profile=False) as client:
        return await client.check_profile(), client.capabilities
