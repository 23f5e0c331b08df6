"""Find profiles: those shipped here, those of the user's configuration folder, and files."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import platformdirs
import yaml
from pydantic import ValidationError

from ..errors import ConfigurationError
from .schema import Profile

__all__ = ["list_profiles", "load_profile", "user_profiles_dir"]


def user_profiles_dir() -> Path:
    """The folder of the user's own profiles (``~/.config/ets-client/profiles`` on Linux)."""
    return platformdirs.user_config_path("ets-client") / "profiles"


def load_profile(name: str | os.PathLike[str]) -> Profile:
    """Load a profile.

    Args:
        name: the name of a shipped profile or of one in :func:`user_profiles_dir` (which wins), or the path of a
            YAML file.

    Returns:
        The validated profile.

    Raises:
        ConfigurationError: there is none of that name, or it is not valid.
    """
    text = os.fspath(name)
    if text.endswith((".yaml", ".yml")) or os.sep in text:
        path = Path(text)
        if not path.is_file():
            raise ConfigurationError(f"there is no profile file {text}")
        return _parse(path.read_text(encoding="utf-8"), text)
    sources = _sources()
    if text not in sources:
        raise ConfigurationError(
            f"there is no profile {text!r}; there are {', '.join(sorted(sources))}. "
            f"Your own go into {user_profiles_dir()}, or give a file's path"
        )
    return _parse(sources[text], text)


def list_profiles() -> list[Profile]:
    """All profiles that are known by name, sorted by name.

    Raises:
        ConfigurationError: one of the user's own is not valid.
    """
    return [_parse(text, name) for name, text in sorted(_sources().items())]


def _sources() -> dict[str, str]:
    shipped = {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in (files("ets_client.profiles") / "data").iterdir()
        if entry.name.endswith(".yaml")
    }
    own = {path.stem: path.read_text(encoding="utf-8") for path in sorted(user_profiles_dir().glob("*.yaml"))}
    return shipped | own


def _parse(text: str, where: str) -> Profile:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"profile {where} is not YAML: {error}") from None
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ConfigurationError(f"profile {where}: {field}: {first['msg']}, given {first['input']!r}{more}") from None
