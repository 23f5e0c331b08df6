"""Next-token log-probabilities by transformers, for prompts on standard input. Runs on the engine's Python.

Usage: `python reference_logprobs.py SUPPORT_FOLDER MODEL_FOLDER < prompts.json > logprobs.json`
"""

from __future__ import annotations

import json
import sys


def main(support: str, model_path: str) -> None:
    """Read prompts, write the log-probabilities of every next token."""
    sys.path.insert(0, support)
    import cpu_support  # type: ignore[import-not-found]

    cpu_support.install()  # transformers' image code needs it beside a CPU build of torch
    import torch  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM  # type: ignore[import-not-found]

    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = [model(torch.tensor([ids])).logits[0, -1].double() for ids in json.load(sys.stdin)]
    json.dump([torch.log_softmax(row, -1).tolist() for row in logits], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
