"""Find profiles: those shipped here, those of the user's configuration folder, and files."""

from __future__ import annotations

import logging
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..errors import ConfigurationError
from .schema import Profile

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["list_profiles", "load_profile", "user_profiles_dir"]

_log = logging.getLogger("ets_client")


def user_profiles_dir() -> Path:
    """The folder of the user's own profiles (``~/.config/ets-client/profiles`` on Linux)."""
    import platformdirs  # late: see benchmarks/import_time.py

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
        return _read(path, text)
    known = _known()
    if text not in known:
        raise ConfigurationError(
            f"there is no profile {text!r}; there are {', '.join(sorted(known))}. "
            f"Your own go into {user_profiles_dir()}, or give a file's path"
        )
    return _named(text, known[text])


def list_profiles() -> list[Profile]:
    """All profiles that are known by name, sorted by name.

    One of the user's own that is not valid is left out, and a warning is logged that names its file.
    """
    found: list[Profile] = []
    for name, source in sorted(_known().items()):
        try:
            found.append(_named(name, source))
        except ConfigurationError as error:
            _log.warning("left out: %s", error)
    return found


def _known() -> dict[str, Path | Traversable]:
    shipped = {
        entry.name.removesuffix(".yaml"): entry
        for entry in (files("ets_client.profiles") / "data").iterdir()
        if entry.name.endswith(".yaml")
    }
    folder = user_profiles_dir()
    own = {path.stem: path for suffix in ("yml", "yaml") for path in sorted(folder.glob(f"*.{suffix}"))}
    return shipped | own


def _named(name: str, source: Path | Traversable) -> Profile:
    profile = _read(source, str(source))
    if profile.name != name:
        raise ConfigurationError(
            f"profile {source}: its name is {profile.name!r}; it must be {name!r}, as the file's is"
        )
    return profile


def _read(source: Path | Traversable, where: str) -> Profile:
    try:
        return _parse(source.read_text(encoding="utf-8"), where)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"profile {where} cannot be read: {error}") from None


def _parse(text: str, where: str) -> Profile:
    import yaml  # late: see benchmarks/import_time.py

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
