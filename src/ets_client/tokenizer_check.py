"""Check a profile against a tokenizer file, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ._engine.profile_checker import ProfileChecker
from ._engine.tokenizers import load_local_tokenizer
from .errors import ConfigurationError
from .profiles import Profile, load_profile

if TYPE_CHECKING:
    import os

    from .profiles import ProfileReport

__all__ = ["check_tokenizer"]


async def check_tokenizer(path: str | os.PathLike[str], profile: Profile | str | os.PathLike[str]) -> ProfileReport:
    """Whether a profile fits a tokenizer on this machine, as :meth:`AsyncPolicyClient.check_profile` tells of a server.

    Chat turns are not compared with a chat template: that is the server's to render.

    Args:
        path: a ``tokenizer.json``, or a model's folder with one.
        profile: the profile, its name or its file.

    Returns:
        A finding for each thing that was checked, with the exact tokens; ``print`` it.

    Raises:
        ConfigurationError: there is no such profile or file, or the package ``tokenizers`` is missing.
    """
    given = profile if isinstance(profile, Profile) else load_profile(profile)
    file = _file(Path(path))
    try:
        tokenizer = await load_local_tokenizer(file)
    except ImportError:
        raise ConfigurationError("a tokenizer file needs a package: pip install 'ets-client[tokenizers]'") from None
    except Exception as error:  # noqa: BLE001 - the package raises nothing narrower
        raise ConfigurationError(f"the tokenizer {file} cannot be read: {error}") from None
    return await ProfileChecker(given, tokenizer, str(file), None).report()


def _file(path: Path) -> Path:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigurationError(f"there is no tokenizer at {file}: give a tokenizer.json, or a folder that holds one")
    return file
