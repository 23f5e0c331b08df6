"""Get a model before it is needed: from the hub, or all that a profile needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ets_client.errors import ConfigurationError
from ets_client.profiles import HubSource, Profile, load_profile

from .engines import ensure_engine, environment_for, expected_engine
from .errors import ServerToolError
from .facts import read_machine
from .hub import fetch_model
from .models import check_folder, make_model
from .options import LaunchOptions, Role
from .plan import engine_kind
from .sources import choose_model, parse_model
from .store import models_dir

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fetch"]


def fetch(name: str, role: Role, say: Callable[[str, str], None], *, sglang: str | None = None) -> Path:
    """Fetch a hub model, or a profile's model with the engine that it is made by.

    Args:
        name: a profile's name, or ``owner/name[@revision]``.
        role: which model of a profile.
        say: told the phase and its detail.
        sglang: version of that engine; None means the default.

    Returns:
        The model's folder.

    Raises:
        ServerToolError: says why it cannot be had.
    """
    options = LaunchOptions(role=role, sglang=sglang)
    options.check()
    profile = _profile(name)
    if profile is None:
        source = parse_model(name)
        if not isinstance(source, HubSource):
            raise ServerToolError(f"{name} is a folder on this machine already")
        say(f"fetching {name}", "")
        return fetch_model(source.id, source.revision)
    choice = choose_model(options, profile, models_dir())
    if choice.on_hub:
        say(f"fetching {choice.location}", "")
        return fetch_model(choice.location, choice.revision)
    if choice.made_here:
        engine = expected_engine(engine_kind(read_machine()), sglang)
        make_model(choice, ensure_engine(engine, say), environment_for(engine), say)
    else:
        check_folder(choice)
    return Path(choice.location)


def _profile(name: str) -> Profile | None:
    if "/" in name and not name.endswith((".yaml", ".yml")):
        return None
    try:
        return load_profile(name)
    except ConfigurationError as error:
        raise ServerToolError(f"{error}; a model on the hub is named owner/name") from None
