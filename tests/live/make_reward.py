"""Make a reward model with random weights beside a policy's tokenizer. Runs on the engine's Python.

Usage: `python make_reward.py SUPPORT_FOLDER POLICY_FOLDER OUTPUT_FOLDER`
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def main(support: str, policy: str, out: str) -> None:
    """Write the folder."""
    sys.path.insert(0, support)
    import cpu_support  # type: ignore[import-not-found]

    cpu_support.install()
    import torch  # type: ignore[import-not-found]
    from transformers import LlamaConfig, LlamaForSequenceClassification  # type: ignore[import-not-found]

    config = LlamaConfig.from_pretrained(policy)
    config.num_labels = 1
    torch.manual_seed(7)
    model = LlamaForSequenceClassification(config).float()
    torch.nn.init.normal_(model.score.weight)  # the default is so small that all scores are nearly 0
    model.save_pretrained(out)
    for file in Path(policy).glob("tokenizer*"):
        shutil.copy(file, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
