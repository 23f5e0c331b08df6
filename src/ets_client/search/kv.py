"""How large a model's KV cache is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import os

__all__ = ["kv_bytes_per_token"]

_BYTES = {"float32": 4, "float": 4, "float8": 1}


def kv_bytes_per_token(model: str | os.PathLike[str]) -> float | None:
    """Bytes of KV cache that one token takes: keys and values of all layers, as the model's config tells them.

    Args:
        model: the model's folder; a server names its own in ``client.capabilities.model_path``.

    Returns:
        None when there is no such folder here, or its config does not tell. A server with a quantised cache, or one
        that is divided among GPUs, holds less on each.
    """
    try:
        loaded = json.loads((Path(model) / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(loaded, dict):
        return None
    config = cast("dict[str, Any]", loaded)
    config = cast("dict[str, Any]", config.get("text_config", config))
    try:
        heads = int(config["num_attention_heads"])
        size = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
        held = int(config.get("num_key_value_heads") or heads)
        layers = int(config["num_hidden_layers"])
    except (KeyError, TypeError, ValueError):
        return None
    width = _BYTES.get(str(config.get("dtype") or config.get("torch_dtype")), 2)
    return 2.0 * layers * held * size * width
