"""`ets-client search`: the options; :mod:`.running` does the work."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any, Literal, cast

import typer
from rich.console import Console

from ..errors import ConfigurationError, EtsClientError
from ..search import load_questions
from .failures import fail
from .running import Plan, run
from .settings import Settings, read_parameters

__all__ = ["search"]

_NO_SETTINGS = {"questions", "params", "resume", "cut", "live", "plain", "mend"}


def _option(help: str, *names: str, shown: str | bool = False, **more: Any) -> Any:  # noqa: A002 - as typer calls it
    return typer.Option(*names, help=help, show_default=shown, **more)


_server = partial(_option, rich_help_panel="Servers and scores")
_method = partial(_option, rich_help_panel="Method")
_sampling = partial(_option, rich_help_panel="Sampling")
_amount = partial(_option, rich_help_panel="How much, how long")
_kept = partial(_option, rich_help_panel="Files and screen")


def search(
    questions: Annotated[
        Path, typer.Argument(metavar="QUESTIONS", help='JSON lines with "problem" and "answer".', show_default=False)
    ],
    policy: Annotated[
        str | None, _server("Address of the policy server.", "--policy", "--url", shown="http://127.0.0.1:30000")
    ] = None,
    endpoint: Annotated[Path | None, _server("Endpoint file of `ets-server up`, instead of --policy.")] = None,
    profile: Annotated[
        str | None, _server("Profile name or file of the policy.", shown="the one that --endpoint names")
    ] = None,
    reward: Annotated[str | None, _server("Address of the reward server.")] = None,
    reward_endpoint: Annotated[Path | None, _server("Its endpoint file, instead of --reward.")] = None,
    reward_profile: Annotated[str | None, _server("Profile of the reward model.", shown="of --reward-endpoint")] = None,
    reward_format: Annotated[
        str | None, _server("How it wants paths and answers: a name or a file.", shown="of its profile")
    ] = None,
    scorer: Annotated[
        str | None, _server("logprob or self-consistency, without a reward server.", shown="logprob")
    ] = None,
    method: Annotated[
        str | None, _method("ets, rebase, beam, dvts, best-of-n or mcts.", "--method", "-m", shown="rebase")
    ] = None,
    variant: Annotated[str | None, _method("fixed, or paper: as published, defects included.", shown="fixed")] = None,
    mend: Annotated[list[str] | None, _method("One mend, on or off: --mend keep_clusters=off. Repeatable.")] = None,
    width: Annotated[int | None, _method("Samples of a level.", shown="8")] = None,
    depth: Annotated[int | None, _method("Most steps of a path.", shown="25")] = None,
    softmax_temperature: Annotated[float | None, _method("Of REBASE's and ETS's allocation.", shown="0.2")] = None,
    lambda_c: Annotated[float | None, _method("ETS: price of all nodes together.", shown="1")] = None,
    lambda_s: Annotated[float | None, _method("ETS: value of all clusters together.", shown="0")] = None,
    fixedwidth: Annotated[int | None, _method("Beams, or DVTS's subtrees.", shown="the root of the width")] = None,
    simulations: Annotated[int | None, _method("MCTS: samples in all.", shown="8 times the width")] = None,
    barrier: Annotated[
        str | None, _method("level, or none: each child is considered as it finishes.", shown="level")
    ] = None,
    on_length: Annotated[
        str | None, _method("Steps that are too long: score, continue or drop.", shown="score")
    ] = None,
    temperature: Annotated[float | None, _sampling("Of the sampling.", shown="the profile's")] = None,
    max_step_tokens: Annotated[int | None, _sampling("Longest step.", shown="the profile's")] = None,
    max_path_tokens: Annotated[int | None, _sampling("Longest path.", shown="the profile's")] = None,
    seed: Annotated[int | None, _sampling("For a server with deterministic inference.")] = None,
    at_once: Annotated[int | None, _amount("Questions in flight.", shown="4")] = None,
    samples_at_once: Annotated[
        str | None, _amount("Samples in flight: a number, adaptive or none.", shown="none")
    ] = None,
    departure_interval: Annotated[
        float | None, _amount("Seconds, such as 0.25, within which expands leave together.", shown="none")
    ] = None,
    seconds: Annotated[
        float | None, _amount("Start no question that would not be done by then, and no level after it.")
    ] = None,
    tokens: Annotated[int | None, _amount("Generated tokens of the run.")] = None,
    expands: Annotated[int | None, _amount("Expands of the run.")] = None,
    kv_byte_seconds: Annotated[float | None, _amount("Bytes of KV cache of the run, times seconds.")] = None,
    tree_seconds: Annotated[float | None, _amount("Of each question: start no level after it.")] = None,
    tree_tokens: Annotated[int | None, _amount("Of each question: generated tokens.")] = None,
    tree_expands: Annotated[int | None, _amount("Of each question: expands.")] = None,
    tree_kv_byte_seconds: Annotated[
        float | None, _amount("Of each question: bytes of KV cache, times seconds.")
    ] = None,
    kv_bytes_per_token: Annotated[
        float | None, _amount("Of the policy.", shown="what its model's folder tells")
    ] = None,
    first: Annotated[int | None, _amount("Take only so many questions.", shown="all")] = None,
    params: Annotated[Path | None, _kept("TOML or YAML file of these; also ETS's hype-parameters/*.yaml.")] = None,
    out: Annotated[Path | None, _kept("Folder of the run: its journal, manifest and summary.")] = None,
    resume: Annotated[bool, _kept("Go on with the run in --out.", "--resume")] = False,
    cut: Annotated[
        bool, _kept("With --resume: go on from before a damaged line, though good ones follow.", "--cut")
    ] = False,
    live: Annotated[bool, _kept("Show growing trees instead of a bar.", "--live")] = False,
    plain: Annotated[bool, _kept("Print lines, as without a terminal.", "--plain")] = False,
) -> None:
    """Search questions and keep everything that was decided and paid for.

    Without a reward server scores are mean log-probabilities of the steps, which stand in for one. After Ctrl-C, or
    when a server is lost, the questions that were done are shown, and the run can be resumed.
    """
    given = {name: value for name, value in locals().items() if value is not None and name not in _NO_SETTINGS}
    console = Console()
    try:
        file = {} if params is None else read_parameters(params)
        if mend:
            given["mends"] = {**_mends_of(file), **dict(_switch(each) for each in mend)}
        settings = Settings.of(file, given)
        settings.make_method()
        settings.options(1.0)  # made here for their errors alone: nothing has started yet
    except EtsClientError as error:
        raise typer.BadParameter(str(error)) from None
    if resume and settings.out is None:
        raise typer.BadParameter("--resume needs --out, the folder of the run")
    try:
        asked = load_questions(questions)[: settings.first]
    except EtsClientError as error:
        fail(error)
    shows: Literal["bar", "trees", "lines"] = "trees" if live else "bar"
    if plain or not console.is_terminal:
        shows = "lines"
    status = run(console, Plan(settings, asked, resumes=resume, cuts=cut, shows=shows))
    if status:
        raise typer.Exit(status)


def _mends_of(file: dict[str, Any]) -> dict[str, Any]:
    found = file.get("mends", {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"mends = {found!r}: write `name: true` or `name: false` below it, a line each")
    return cast("dict[str, Any]", found)


def _switch(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if value not in {"on", "off"}:
        raise ConfigurationError(f"--mend {text}: write NAME=on or NAME=off")
    return name.replace("-", "_"), value == "on"
