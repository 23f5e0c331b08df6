"""Turn a GGUF file into a model folder that SGLang serves. Runs on the engine's Python."""

from __future__ import annotations

import argparse
from pathlib import Path

import cpu_support


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True, help="the file to convert")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--eos-token", required=True, help="text of the end-of-sequence token")
    parser.add_argument("--max-length", type=int, required=True, help="model_max_length of the tokenizer")
    parser.add_argument("--dtype", required=True, help="of the weights written, or auto")
    arguments = parser.parse_args()

    cpu_support.install()  # transformers' image code needs it
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, file = arguments.gguf.parent, arguments.gguf.name
    names = {"half": "float16", "float": "float32", "auto": "bfloat16"}
    dtype = getattr(torch, names.get(str(arguments.dtype), str(arguments.dtype)))

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    tokenizer.eos_token = arguments.eos_token
    tokenizer.model_max_length = arguments.max_length
    if hasattr(transformers, "GgufConfig"):  # transformers 5.19 keeps GGUF blocks unless told not to, and saves neither
        unpacked = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, dtype=dtype, quantization_config=transformers.GgufConfig(dequantize=True)
        )
        if hasattr(unpacked.config, "quantization_config"):
            del unpacked.config.quantization_config
        model = AutoModelForCausalLM.from_config(unpacked.config, dtype=dtype)
        model.load_state_dict(unpacked.state_dict())
        model.generation_config = unpacked.generation_config
    else:
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=dtype)
    model.config.eos_token_id = tokenizer.eos_token_id
    if model.generation_config is not None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
