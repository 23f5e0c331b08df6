"""Models of the Hugging Face hub: what the local cache holds, and fetching before it is needed."""

from __future__ import annotations

import json
from pathlib import Path

from .errors import ServerToolError

__all__ = ["fetch_model", "has_token", "is_whole", "local_snapshot"]

_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", "tokenizer*"]


def has_token() -> bool:
    """Whether the user's hub token is at hand (``HF_TOKEN``, or a login)."""
    from huggingface_hub import get_token

    return get_token() is not None


def local_snapshot(model: str, revision: str | None) -> Path | None:
    """Folder of a model in the local cache, or None when it is not all there. Asks nothing of the hub."""
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, ValueError):
        return None
    return folder if is_whole(folder) else None


def is_whole(folder: Path) -> bool:
    """Whether a model folder has its configuration and all the weights that its index names."""
    if not (folder / "config.json").is_file():
        return False
    indexes = [*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")]
    if not indexes:
        return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
    named: dict[str, str] = json.loads(indexes[0].read_text(encoding="utf-8")).get("weight_map", {})
    return bool(named) and all((folder / file).is_file() for file in named.values())


def fetch_model(model: str, revision: str | None) -> Path:
    """Download a model into the hub's cache (``HF_HOME``), with the user's token.

    Raises:
        ServerToolError: says why it cannot be had.
    """
    import httpx
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = model if revision is None else f"{model}@{revision}"
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=_PATTERNS))
        if not is_whole(folder):  # an older model, without safetensors
            folder = Path(snapshot_download(model, revision=revision, allow_patterns=[*_PATTERNS, "*.bin"]))
    except GatedRepoError:
        mend = (
            "your hub token may not read it: accept its licence on the hub with that account"
            if has_token()
            else "no hub token was found: accept its licence on the hub, then set HF_TOKEN or run `hf auth login`"
        )
        raise ServerToolError(f"the model {name} is gated and {mend}") from None
    except RepositoryNotFoundError:
        raise ServerToolError(
            f"there is no model {model} on the hub that you may see: check the id, and HF_TOKEN if it is private"
        ) from None
    except RevisionNotFoundError:
        raise ServerToolError(f"the model {model} has no revision {revision!r}") from None
    except HFValidationError as error:
        raise ServerToolError(f"{model!r} is not a hub id: {error}") from None
    except (LocalEntryNotFoundError, httpx.TransportError, OSError) as error:
        if isinstance(error, HfHubHTTPError):
            raise ServerToolError(f"the hub answered {error.response.status_code} for {name}; try later") from error
        raise ServerToolError(
            f"could not fetch {name}: the hub cannot be reached from here; fetch it where there is internet, "
            "with the same HF_HOME"
        ) from error
    if not is_whole(folder):
        raise ServerToolError(f"{name} is on the hub but holds no weights that SGLang loads")
    return folder
