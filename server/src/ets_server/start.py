"""Start a server and wait for its first token; leave nothing running when that does not come."""

from __future__ import annotations

import os
import secrets
import signal
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ets_client.endpoint import Endpoint
from pydantic import SecretStr

from .causes import StartFacts, cause_of, is_hopeless, last_lines
from .engines import ensure_engine, environment_for
from .errors import InterruptedStartError, PortTakenError, ServerToolError, StartError
from .hub import has_token
from .log_follower import LogFollower
from .models import is_made, make_model
from .options import local_host
from .phases import FIRST_PHASE, phase_of
from .plan import KEEP_ALIVE_SECONDS, LaunchPlan
from .probe import StrangerError, is_ready
from .processes import identify, is_alive, spawn, stop_group
from .records import ProcessIdentity, ServerRecord
from .store import ServerFolder, lock, machine_dir, write_private
from .survey import Launch, connect_host, plan_launch

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator
    from pathlib import Path
    from types import FrameType

    from .progress import Progress

__all__ = ["RunningServer", "interrupts", "start_server"]

_POLL_SECONDS = 0.5
_LINES_SHOWN = 12
_PORTS_TRIED = 4


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that generated its first token.

    Attributes:
        process: its leading process.
        record: what is remembered of it.
        endpoint: where it is.
        folder: its state.
        log: its output, as far as it was read.
    """

    process: subprocess.Popen[bytes]
    record: ServerRecord
    endpoint: Endpoint
    folder: ServerFolder
    log: LogFollower


def start_server(
    launch: Launch,
    progress: Progress,
    *,
    echo: Callable[[str], None] | None = None,
    die_with_starter: bool = False,
) -> RunningServer:
    """Prepare the engine and the model, start the server and wait for its first token.

    Args:
        launch: what to start.
        progress: told what is being done.
        echo: gets the server's output as it comes.
        die_with_starter: whether the server is to end with this process.

    Raises:
        ServerToolError: it could not be started; nothing of it is left running.
    """
    folder = launch.folder
    with lock(folder.lock_file, f"starting {launch.options.server_name!r}", wait=False), interrupts():
        try:
            return _start(launch, progress, echo, die_with_starter=die_with_starter)
        except KeyboardInterrupt:
            name = launch.options.server_name
            raise InterruptedStartError(f"interrupted; nothing of {name!r} is left running") from None


@contextmanager
def interrupts() -> Generator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, as SIGINT is, while the block runs."""

    def raise_interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, raise_interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start(
    launch: Launch, progress: Progress, echo: Callable[[str], None] | None, *, die_with_starter: bool
) -> RunningServer:
    _refuse_second(launch)
    plan_launch(launch)  # what is taken already is refused before minutes are spent on preparing
    for note in launch.notes:
        progress.note(note)
    _prepare(launch, progress)
    folder = launch.folder
    folder.create()
    for tries_left in reversed(range(_PORTS_TRIED)):
        with lock(machine_dir(launch.machine.key) / ".place.lock", "placing a server", wait=True):
            plan, note = plan_launch(launch, random_seed=secrets.randbelow(2**31))
            if note:
                progress.note(note)
            process, record = _spawn(launch, plan, die_with_starter=die_with_starter)
        try:
            return _follow(launch, plan, process, record, LogFollower(folder.log_file, echo), progress)
        except PortTakenError:
            if launch.options.fixed_port is not None or not tries_left:
                raise
            progress.note(f"another program took port {plan.port} meanwhile: trying the next free one")
    raise AssertionError  # unreachable: the last try returns or raises


def _follow(
    launch: Launch,
    plan: LaunchPlan,
    process: subprocess.Popen[bytes],
    record: ServerRecord,
    log: LogFollower,
    progress: Progress,
) -> RunningServer:
    folder = launch.folder
    try:
        _await_token(launch, plan, process, log, progress)
        endpoint = _endpoint(launch, plan, record.start_id)
        files = (folder.endpoint_file, *_files_asked_for(launch))
        record = record.model_copy(update={"state": "ready", "endpoint_files": tuple(map(str, files))})
        folder.write(record)
        for file in files:
            endpoint.write(file)
    except BaseException:
        stop_group(record.process, grace_seconds=0)
        process.wait()
        folder.forget(record)
        raise
    return RunningServer(process, record, endpoint, folder, log)


def _refuse_second(launch: Launch) -> None:
    record = launch.folder.read()
    if record is not None and is_alive(record.process):
        raise ServerToolError(
            f"{record.name!r} runs already ({record.model} on {record.address}:{record.port}); "
            f"stop it with `ets-server down {record.name}`, or name another"
        )
    if record is not None:
        stop_group(record.process, grace_seconds=0)  # workers that outlived their leader
        launch.folder.forget(record)


def _prepare(launch: Launch, progress: Progress) -> None:
    if launch.engine is not None:
        ensure_engine(launch.engine, progress.phase)
    if not launch.model.made_here:
        return
    if launch.python is None and not is_made(launch.model):
        raise ServerToolError(
            "that profile's model is made with the engine's Python, and --launcher gives none; start it once without "
            "--launcher, or give --model FOLDER_OR_ID"
        )
    if launch.python is not None:
        make_model(launch.model, launch.python, environment_for(launch.engine), progress.phase)


def _spawn(launch: Launch, plan: LaunchPlan, *, die_with_starter: bool) -> tuple[subprocess.Popen[bytes], ServerRecord]:
    folder = launch.folder
    if plan.config is not None:
        write_private(folder.config_file, plan.config)
    environment = {name: value for name, value in os.environ.items() if name not in plan.removed}
    try:
        process = spawn(
            plan.argv, {**environment, **plan.environment}, folder.log_file, die_with_starter=die_with_starter
        )
    except OSError as error:
        folder.config_file.unlink(missing_ok=True)
        raise StartError(f"cannot run {plan.argv[0]}: {error.strerror}") from None
    identity = identify(process.pid) or ProcessIdentity(process.pid, time.time())  # it may have ended already
    try:
        record = _record(launch, plan, identity)
        folder.write(record)
    except BaseException:
        stop_group(identity, grace_seconds=0)
        raise
    return process, record


def _record(launch: Launch, plan: LaunchPlan, identity: ProcessIdentity) -> ServerRecord:
    return ServerRecord(
        name=launch.options.server_name,
        host=launch.machine.host,
        job=launch.machine.job,
        state="starting",
        pid=identity.pid,
        created=identity.created,
        start_id=uuid.uuid4().hex,
        address=plan.host,
        port=plan.port,
        role=plan.role,
        model=plan.model,
        profile=plan.profile,
        engine=plan.engine,
        gpu_uuids=plan.gpu_uuids,
    )


def _await_token(
    launch: Launch, plan: LaunchPlan, process: subprocess.Popen[bytes], log: LogFollower, progress: Progress
) -> None:
    base_url = _endpoint(launch, plan, "probe", local=True).base_url
    deadline = time.monotonic() + launch.options.ready_timeout
    phase = FIRST_PHASE
    while True:
        log.read()
        phase = phase_of(log.text)
        progress.phase(phase)
        if process.poll() is not None:
            raise _failure(launch, plan, log, f"it ended with status {process.returncode} while {phase}")
        if is_hopeless(log.text):
            raise _failure(launch, plan, log, f"it gave up while {phase}")
        try:
            if is_ready(base_url, launch.api_key, generates=plan.generates, random_seed=plan.random_seed):
                return
        except StrangerError:
            message = f"port {plan.port} was taken by another server, which answers there; choose another with --port"
            raise PortTakenError(f"{launch.options.server_name!r} did not start: {message}", ()) from None
        if time.monotonic() > deadline:
            limit = f"{launch.options.ready_timeout:g} s"
            raise _failure(launch, plan, log, f"no token came within {limit}, it was {phase}; raise --ready-timeout")
        time.sleep(_POLL_SECONDS)


def _failure(launch: Launch, plan: LaunchPlan, log: LogFollower, otherwise: str) -> StartError:
    log.read()
    facts = StartFacts(plan.model, plan.port, has_token=has_token())
    cause = cause_of(log.text, facts) or otherwise
    kind = PortTakenError if is_hopeless(log.text) else StartError
    return kind(
        f"{launch.options.server_name!r} did not start: {cause} (log: {launch.folder.log_file})",
        last_lines(log.text, _LINES_SHOWN),
    )


def _endpoint(launch: Launch, plan: LaunchPlan, start_id: str, *, local: bool = False) -> Endpoint:
    return Endpoint(
        host=local_host(plan.host) if local else connect_host(plan.host),
        port=plan.port,
        role=plan.role,
        model=plan.model,
        profile=plan.profile,
        start_id=start_id,
        keep_alive_seconds=KEEP_ALIVE_SECONDS,
        api_key=None if launch.api_key is None else SecretStr(launch.api_key),
    )


def _files_asked_for(launch: Launch) -> tuple[Path, ...]:
    file = launch.options.endpoint_file
    return () if file is None else (file.expanduser().absolute(),)
