"""Which model a server gets, and where its folder is. Of the file system it asks only whether a folder is there."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ets_client.profiles import (
    GGUFPackageSource,
    HubSource,
    ModelSpec,
    PathSource,
    Profile,
    RandomSource,
)

from .errors import ServerToolError

if TYPE_CHECKING:
    from .machine import Machine
    from .options import LaunchOptions

__all__ = ["DEFAULT_CPU_PROFILE", "ModelChoice", "choose_model", "parse_model", "profile_label", "profile_name"]

DEFAULT_CPU_PROFILE = "smollm2"
_RECIPE = 1  # raise it when the scripts that make model folders change what they write

_HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model a server is to serve.

    Attributes:
        spec: its source and facts.
        location: what SGLang is told: a folder, or an id on the hub.
        revision: of a hub model.
    """

    spec: ModelSpec
    location: str
    revision: str | None = None

    @property
    def on_hub(self) -> bool:
        """Whether SGLang takes it from the hub or its cache."""
        return isinstance(self.spec.source, HubSource)

    @property
    def made_here(self) -> bool:
        """Whether the tool makes the folder itself, with the engine's Python."""
        return isinstance(self.spec.source, GGUFPackageSource | RandomSource)


def profile_name(options: LaunchOptions, machine: Machine) -> str | None:
    """The profile to load, or None to serve ``--model`` without one.

    Raises:
        ServerToolError: a machine with GPUs, and neither a profile nor a model was named.
    """
    if options.profile is not None or options.model is not None:
        return options.profile
    if machine.gpus:
        count = len(machine.gpus)
        raise ServerToolError(
            f"this machine has {count} GPU{'s' * (count > 1)}, so the small CPU model is not taken by itself: choose "
            "with --profile NAME (`ets-server profiles` lists them) or --model FOLDER_OR_ID"
        )
    return DEFAULT_CPU_PROFILE


def profile_label(options: LaunchOptions, profile: Profile) -> str:
    """How a client finds the same profile: by its file where the user gave one, else by its name."""
    given = options.profile
    if given is not None and (given.endswith((".yaml", ".yml")) or "/" in given):
        return str(Path(given).expanduser().absolute())
    return profile.name


def choose_model(options: LaunchOptions, profile: Profile | None, models_dir: Path) -> ModelChoice:
    """Choose the model of a server.

    Args:
        options: what the user asked for.
        profile: the profile, or None.
        models_dir: where model folders made by the tool are kept.

    Raises:
        ServerToolError: there is no model for that role.
    """
    spec = _spec_of(profile, options.role)
    if options.model is not None:
        given = parse_model(options.model)
        spec = ModelSpec(source=given) if spec is None else spec.model_copy(update={"source": given})
    if spec is None:
        known = "knows no reward model" if options.role == "reward" else "names no model"
        raise ServerToolError(
            f"profile {profile.name!r} {known}; give --model FOLDER_OR_ID"
            if profile is not None
            else "no model was named; give --model FOLDER_OR_ID or --profile NAME"
        )
    return _locate(spec, models_dir)


def parse_model(text: str) -> HubSource | PathSource:
    """Tell a folder from an id on the hub (``owner/name`` or ``owner/name@revision``).

    A text that begins with ``/``, ``./``, ``../`` or ``~``, or names a folder that is there, is a folder.

    Raises:
        ServerToolError: it can be neither.
    """
    if text and (text.startswith(("/", "./", "../", "~")) or text == ".." or Path(text).is_dir()):
        return PathSource(path=text)
    match = _HUB_ID.fullmatch(text)
    if match is None:
        raise ServerToolError(f"--model {text!r} is neither a folder nor a hub id such as owner/name@revision")
    return HubSource(id=match["id"], revision=match["revision"])


def _spec_of(profile: Profile | None, role: str) -> ModelSpec | None:
    if profile is None:
        return None
    if role == "policy":
        return profile.model
    return None if profile.reward is None else profile.reward.model


def _locate(spec: ModelSpec, models_dir: Path) -> ModelChoice:
    match spec.source:
        case HubSource() as source:
            return ModelChoice(spec, source.id, source.revision)
        case PathSource() as source:
            return ModelChoice(spec, str(Path(source.path).expanduser().absolute()))
        case GGUFPackageSource() as source:
            name = re.split(r"[^\w.-]", source.requirement, maxsplit=1)[0]
            return ModelChoice(spec, _made_folder(models_dir, name, source.model_dump(), spec.dtype))
        case RandomSource() as source:
            facts = (source.model_dump(), spec.dtype, spec.vocab_size, spec.context_length)
            return ModelChoice(spec, _made_folder(models_dir, "random", *facts))


def _made_folder(models_dir: Path, name: str, *facts: object) -> str:
    digest = hashlib.sha256(json.dumps([_RECIPE, *facts], sort_keys=True).encode()).hexdigest()[:12]
    return str(models_dir / f"{name}-{digest}")
