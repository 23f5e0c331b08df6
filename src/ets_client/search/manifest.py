"""What a run was made of: enough to make it again, and to refuse to go on with something else."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from .children import TreeRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..server_info import ServerInfo
    from .methods.view import JsonValue
    from .questions import Question

__all__ = ["Difference", "Machine", "Manifest", "QuestionSet", "ServerRecord", "differences"]

_SNAPSHOT = re.compile(r"/snapshots/([0-9a-f]{40})(?:/|$)")  # how the hub's cache names a model's folder
_NAMES = {"model_path", "tokenizer_path", "weight_version", "version", "architectures"}


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server as it told of itself.

    Attributes:
        model: what it serves.
        tokenizer: whose tokenizer it uses.
        weight_version: version of the weights.
        revision: commit of the model, when its folder tells.
        architectures: of the model's config.
        sglang: SGLang's version, or "".
        flags: what else it told: limits of its cache and queue, schedule, page size, front end, whether it uses seeds.
            No endpoint of SGLang names its GPUs; ``max_total_tokens`` is what tells of them.
    """

    model: str
    tokenizer: str = ""
    weight_version: str = ""
    revision: str | None = None
    architectures: tuple[str, ...] = ()
    sglang: str = ""
    flags: dict[str, Any] = {}

    @classmethod
    def of(cls, info: ServerInfo) -> ServerRecord:
        """Of what :meth:`AsyncPolicyClient.server_info` or :attr:`AsyncPolicyClient.capabilities` gave."""
        found = _SNAPSHOT.search(info.model_path)
        told = {field.name: getattr(info, field.name) for field in dataclasses.fields(info)}
        flags = {name: value for name, value in told.items() if value is not None and name not in _NAMES}
        return cls(
            model=info.model_path,
            tokenizer=info.tokenizer_path,
            weight_version=info.weight_version,
            revision=None if found is None else found[1],
            architectures=info.architectures,
            sglang=info.version,
            flags=msgspec.to_builtins(flags),
        )


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the search itself ran.

    Attributes:
        host: its name.
        system: operating system and processor.
        cpus: processors that this process may use.
        python: version.
        ets_client: version of this package.
        began: when, in UTC.
    """

    host: str
    system: str
    cpus: int
    python: str
    ets_client: str
    began: str

    @classmethod
    def here(cls) -> Machine:
        """This process, now."""
        name = os.uname()  # platform.platform() would start a process
        return cls(
            host=name.nodename,
            system=f"{name.sysname} {name.release} {name.machine}",
            cpus=len(os.sched_getaffinity(0)),
            python=platform.python_version(),
            ets_client=version("ets-client"),
            began=datetime.now(UTC).isoformat(timespec="seconds"),
        )


class QuestionSet(msgspec.Struct, frozen=True, kw_only=True):
    """The questions of a run.

    Attributes:
        count: how many.
        sha256: of all problems and answers, in order.
    """

    count: int
    sha256: str

    @classmethod
    def of(cls, questions: Iterable[Question]) -> QuestionSet:
        """Of questions, in the order of the run."""
        asked = [(question.problem, question.answer) for question in questions]
        return cls(count=len(asked), sha256=hashlib.sha256(msgspec.json.encode(asked)).hexdigest())


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run is made of. All of it is JSON, in the run's ``manifest.json`` and in its journal's first line.

    Attributes:
        method: name, variant and parameters of the method.
        rules: what makes nodes of samples.
        questions: which.
        policy: the server that samples.
        machine: where the search runs.
        scorer: name and parameters of the scorer.
        reward: the server that scores, when there is one.
        sampling: as given to the calls, over the profile's.
        profile: name of the policy's profile.
        search: parameters of the search that change what it finds: depth, what becomes of steps that are cut, ….
        limits: parameters that a resumed run may change: budgets, questions at once.
        seed: of the first question; None when none was given.
    """

    method: dict[str, Any]
    rules: TreeRules
    questions: QuestionSet
    policy: ServerRecord
    machine: Machine = msgspec.field(default_factory=Machine.here)
    scorer: dict[str, Any] = {}
    reward: ServerRecord | None = None
    sampling: dict[str, Any] = {}
    profile: str = ""
    search: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    seed: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain data, which :meth:`read` takes."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain

    @classmethod
    def read(cls, plain: object) -> Manifest:
        """A manifest from plain data.

        Raises:
            msgspec.ValidationError: it is none.
        """
        return msgspec.convert(plain, cls)


# What a search finds depends on these; the rest tells where and how fast it ran.
_DECISIVE = re.compile(
    r"(method|rules|questions|scorer|sampling|profile|search|seed)(\..*)?"
    r"|(policy|reward)(\.(model|tokenizer|weight_version|revision))?"
)


class Difference(msgspec.Struct, frozen=True):
    """One difference of two manifests.

    Attributes:
        name: of the field, with points (``method.width``).
        before: its value in the first; None where it has none.
        now: in the second.
        is_decisive: whether the search would find something else; a resumed run may differ in what is not.
    """

    name: str
    before: Any
    now: Any
    is_decisive: bool

    def __str__(self) -> str:
        return f"{self.name} was {_shown(self.before)}, is {_shown(self.now)}"


def _shown(value: object) -> str:
    return "not given" if value is None else repr(value)


def differences(before: Manifest, now: Manifest) -> list[Difference]:
    """What differs between two manifests, field by field.

    Args:
        before: of the run as it began.
        now: of the run that shall go on.
    """
    old, new = dict(_leaves(before.as_json())), dict(_leaves(now.as_json()))
    names = [*old, *(name for name in new if name not in old)]
    return [
        Difference(name, old.get(name), new.get(name), _DECISIVE.fullmatch(name) is not None)
        for name in names
        if old.get(name) != new.get(name)
    ]


def _leaves(value: JsonValue, name: str = "") -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, Mapping) and (value or not name):
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}" if name else key)
    else:
        yield name, value
