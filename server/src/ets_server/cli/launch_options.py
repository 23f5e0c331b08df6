"""The launch options as Typer options, declared once for the four commands that take them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from ..enginespec import DEFAULT_SGLANG, SGLANG_VERSIONS
from ..options import LaunchOptions

__all__ = ["SGLANG_OPTION", "launch_command"]

SGLANG_OPTION: Any = typer.Option(
    metavar="|".join(SGLANG_VERSIONS), help=f"SGLang to install and use; {DEFAULT_SGLANG} when left out."
)

_DECLARED: dict[str, Any] = {
    "name": typer.Argument(metavar="[NAME]", help="Name of the server; the role when left out."),
    "profile": typer.Option(metavar="NAME|FILE", help="Model profile. Without a GPU: smollm2."),
    "model": typer.Option(metavar="PATH_OR_ID", help="Model folder or hub id (owner/name@revision)."),
    "role": typer.Option(help="What it serves: the policy, or the profile's reward model."),
    "tp": typer.Option(metavar="N", help="Tensor parallel size; the number of --gpus when left out."),
    "dp": typer.Option(metavar="N", help="Data parallel size."),
    "gpus": typer.Option(metavar="0,1", help="Which of the visible GPUs; the first free ones when left out."),
    "share_gpu": typer.Option("--share-gpu", help="Take a GPU although something else runs on it."),
    "port": typer.Option(metavar="N|auto", help="TCP port; auto takes the first free one from 30000 on."),
    "host": typer.Option(help="Address to listen on; other than loopback only with a key."),
    "api_key_file": typer.Option(metavar="FILE", help="File that holds the API key clients must send."),
    "mem_fraction_static": typer.Option(metavar="X", help="Share of GPU memory for weights and KV cache."),
    "endpoint_file": typer.Option(metavar="FILE", help="Write the endpoint there too, for clients to read."),
    "sglang": SGLANG_OPTION,
    "python": typer.Option(metavar="PATH", help="Python of an environment that has SGLang; nothing is installed."),
    "launcher": typer.Option(metavar="CMD", help="Command that starts SGLang's server, such as a container's."),
    "ready_timeout": typer.Option(metavar="SECONDS", help="How long to wait for the first token."),
}


def launch_command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the launch options.

    Args:
        function: takes a ``LaunchOptions`` first, then options of its own.

    Returns:
        A function that Typer can read: it takes a context (whose object is what stands after ``--``), each launch
        option, and the function's own options.
    """
    fields = {field.name: field for field in dataclasses.fields(LaunchOptions) if field.name != "extra"}
    types = get_type_hints(LaunchOptions)
    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    parameters += [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[types[name], _DECLARED[name]],
        )
        for name, field in fields.items()
    ]
    own_types = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    parameters += [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=own_types[parameter.name])
        for parameter in own
    ]

    @wraps(function)
    def command(**values: Any) -> None:
        context: typer.Context = values.pop("context")
        given = {name: values.pop(name) for name in fields}
        function(LaunchOptions(**given, extra=tuple(context.obj or ())), **values)

    command.__dict__["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
