"""What transformers says of prompts on standard input. Runs on the engine's Python.

Usage: `python reference_logprobs.py SUPPORT_FOLDER MODEL_FOLDER [reward] < prompts.json > values.json`; the values of a
prompt are the log-probabilities of every next token, or the outputs of the reward head.
"""

from __future__ import annotations

import json
import sys


def main(support: str, model_path: str, kind: str = "policy") -> None:
    """Read prompts, write values."""
    sys.path.insert(0, support)
    import cpu_support  # type: ignore[import-not-found]

    cpu_support.install()  # transformers' image code needs it beside a CPU build of torch
    import torch  # type: ignore[import-not-found]
    import transformers  # type: ignore[import-not-found]

    name = "AutoModelForSequenceClassification" if kind == "reward" else "AutoModelForCausalLM"
    model = getattr(transformers, name).from_pretrained(model_path, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = [model(torch.tensor([ids])).logits[0].double() for ids in json.load(sys.stdin)]
    values = logits if kind == "reward" else [torch.log_softmax(rows[-1], -1) for rows in logits]
    json.dump([row.tolist() for row in values], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
