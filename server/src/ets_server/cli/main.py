"""The entry point: what stands after ``--`` is SGLang's, and errors become one line and an exit status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import __version__
from ..errors import ServerToolError, StartError
from . import commands

__all__ = ["app", "main"]

app = typer.Typer(
    name="ets-server",
    help="Start, watch and stop SGLang servers for ets-client: on GPUs, or a real one on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


for _name, _command in commands.COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """Run ``ets-server``."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    try:
        app(args=arguments[:cut], obj=tuple(arguments[cut + 1 :]), prog_name="ets-server")
    except ServerToolError as error:
        if isinstance(error, StartError) and error.log_lines:
            sys.stderr.write("last lines of the log:\n" + "".join(f"  {line}\n" for line in error.log_lines))
        sys.stderr.write(f"ets-server: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        sys.exit(1)
