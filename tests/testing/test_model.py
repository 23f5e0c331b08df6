from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client.testing import ByteTokenizer, FakeServer, HubTokenizer, ScriptedModel, SeededModel

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER = ByteTokenizer()
CONTEXTS = st.lists(st.integers(0, 2047), max_size=6)


def _model(seed: int = 0) -> SeededModel:
    model = SeededModel(seed)
    model.bind(TOKENIZER)
    return model


@given(CONTEXTS)
def test_probabilities_add_up_and_depend_on_the_seed_and_the_last_three_tokens(context: list[int]) -> None:
    found = _model().begin(context).next([])
    assert sum(found.probabilities) + found.rest * (2048 - len(found.tokens)) == pytest.approx(1)
    assert list(found.probabilities) == sorted(found.probabilities, reverse=True)
    assert found == _model().begin(context[-3:]).next([]) == _model().read(context, len(context))
    assert found != _model(1).begin(context).next([])


@given(CONTEXTS, CONTEXTS)
def test_output_continues_a_prompt_as_if_it_were_part_of_it(prompt: list[int], output: list[int]) -> None:
    assert _model().begin(prompt).next(output) == _model().begin([*prompt, *output]).next([])


def test_ends_have_the_probabilities_asked_for() -> None:
    with pytest.raises(ValueError, match=r"together at most 0\.9"):
        SeededModel(line_end=0.9, text_end=0.1)
    model = SeededModel(line_end=0, text_end=0)
    model.bind(TOKENIZER)
    assert TOKENIZER.eos_token_id not in model.begin([1]).next([]).tokens


def test_a_script_needs_answers() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ScriptedModel({"a": []})


def test_a_prompt_that_no_pattern_fits_is_answered_by_the_seed() -> None:
    model = ScriptedModel({"never": "x"})
    model.bind(TOKENIZER)
    assert model.begin([10, 11]).next([]) == _model().begin([10, 11]).next([])
    assert model.read([10, 11], 1) == _model().read([10, 11], 1)
    assert repr(model) == "ScriptedModel(1 rules)"


def test_a_tokenizer_json_serves_as_well(tmp_path: Path) -> None:
    hub = pytest.importorskip("tokenizers")
    made = hub.Tokenizer(hub.models.BPE())
    made.pre_tokenizer = hub.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = hub.decoders.ByteLevel()
    alphabet = hub.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        ["to be or not to be"], hub.trainers.BpeTrainer(special_tokens=["</s>"], initial_alphabet=alphabet)
    )
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    tokenizer = HubTokenizer(path, eos_token="</s>", vocab_size=512)
    assert (tokenizer.vocab_size, tokenizer.eos_token_id, tokenizer.special_ids) == (512, 0, frozenset({0}))
    assert tokenizer.decode(tokenizer.encode("to be or\n\nnot")) == "to be or\n\nnot"
    assert tokenizer.decode([*tokenizer.encode("to"), 0], skip_special_tokens=True) == "to"
    FakeServer(tokenizer=tokenizer)
    with pytest.raises(ValueError, match="no such token"):
        HubTokenizer(path, eos_token="<none>")
