"""Make a Llama-type model with random weights and a byte-level BPE tokenizer. Runs on the engine's Python.

The tokenizer is trained on text made here from a fixed generator, so that it is the same on every machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import cpu_support

if TYPE_CHECKING:
    from collections.abc import Iterator

BOS, EOS = "<s>", "</s>"  # ids 0 and 1
SYLLABLES = [onset + vowel for onset in ("b", "ch", "d", "f", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v")
             for vowel in ("a", "e", "i", "o", "u", "ai", "ea", "or")]  # fmt: skip
PHRASES = (
    "Each {0} holds {1} {2}, so {3} {0} hold {1} * {3} {2}.",
    "Let {0} be the number of {2}. Then {0} = {1} + {3}.",
    "We add {1} and {3} to find how many {2} the {0} has left.",
    "After the {0}, there are {1} - {3} {2}.",
    "The answer is {1}",
)


def numbers(seed: int) -> Iterator[int]:
    """Endless pseudo-random numbers that no library's version changes."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def training_text(vocab_size: int) -> Iterator[str]:
    """Word problems of made-up words, enough of them for a vocabulary of that size; paragraphs end in a blank line."""
    draw = numbers(20)
    words = [
        "".join(SYLLABLES[next(draw) % len(SYLLABLES)] for _ in range(2 + next(draw) % 2)) for _ in range(vocab_size)
    ]
    for _ in range(4 * vocab_size):
        phrase = PHRASES[next(draw) % len(PHRASES)]
        thing, other = words[next(draw) % len(words)], words[next(draw) % len(words)]
        line = phrase.format(thing, next(draw) % 1000, other, next(draw) % 100)
        yield line + ("\n\n" if next(draw) % 3 else "\n")


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    for name in (
        "seed",
        "vocab-size",
        "context-length",
        "hidden-size",
        "intermediate-size",
        "layers",
        "heads",
        "kv-heads",
    ):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", required=True, help="of the weights, or auto")
    arguments = parser.parse_args()

    cpu_support.install()  # transformers' image code needs it
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        training_text(arguments.vocab_size),
        trainers.BpeTrainer(
            vocab_size=arguments.vocab_size,
            special_tokens=[BOS, EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if tokenizer.get_vocab_size() != arguments.vocab_size:
        raise SystemExit(f"the tokenizer has {tokenizer.get_vocab_size()} tokens, not {arguments.vocab_size}")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, model_max_length=arguments.context_length
    ).save_pretrained(arguments.out)

    names = {"half": "float16", "float": "float32", "auto": "float32"}
    torch.manual_seed(arguments.seed)
    config = LlamaConfig(
        vocab_size=arguments.vocab_size,
        hidden_size=arguments.hidden_size,
        intermediate_size=arguments.intermediate_size,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.heads,
        num_key_value_heads=arguments.kv_heads,
        max_position_embeddings=arguments.context_length,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).to(getattr(torch, names.get(str(arguments.dtype), str(arguments.dtype))))
    model.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
