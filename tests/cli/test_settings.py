"""Parameter files: ETS's own, and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ets_client import ConfigurationError, SamplingParams
from ets_client.cli.settings import Settings, read_parameters
from ets_client.search import Beam, BestOfN, Budget, Dvts, Ets, Mcts, Mends, Rebase

if TYPE_CHECKING:
    from pathlib import Path

OF_ETS = """\
temperature: 1.0 # sample temperature
max_step_tokens: 256
max_tokens: 1024
select_method: "softmax_costmodel"
num_threads: 8
softmax_temperature: 0.2
reward_model_type: "llemma"
policy_model_type: "llemma"
store_path: ./exp_results/ets_16_math500/
width: 16 # sample N=16 solutions
lambdac: 1.0
lambdas: 1.5
"""


def written(folder: Path, text: str, name: str = "search.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_ets_is_the_published_search(tmp_path: Path) -> None:
    settings = Settings.of(read_parameters(written(tmp_path, OF_ETS)), {})
    assert settings.make_method() == Ets(1.0, 1.5, 0.2, variant="paper")
    options = settings.options()
    assert (options.width, options.max_path_tokens, options.on_length) == (16, 1024, "drop")
    assert options.sampling == SamplingParams(temperature=1.0, max_new_tokens=256)
    assert (settings.profile, settings.reward_profile, settings.at_once) == ("llemma", "llemma", 8)
    assert str(settings.out) == "exp_results/ets_16_math500"


def test_every_budget_can_be_given_for_the_run_and_for_each_question() -> None:
    limits = {"seconds": 9.0, "tokens": 8, "expands": 7, "kv_byte_seconds": 6.5}
    settings = Settings.of({}, {**limits, **{f"tree_{name}": 2 * limit for name, limit in limits.items()}})
    assert settings.budget() == Budget(seconds=9.0, tokens=8, expands=7, kv_byte_seconds=6.5)
    assert settings.options(3.0).budget == Budget(seconds=18.0, tokens=16, expands=14, kv_byte_seconds=13.0)
    assert settings.options(3.0).kv_bytes_per_token == 3.0
    assert Settings(kv_bytes_per_token=5.0).options(3.0).kv_bytes_per_token == 5.0
    assert Settings().budget() == Budget()
    with pytest.raises(ConfigurationError, match="kv_byte_seconds needs kv_bytes_per_token"):
        settings.options()


def test_what_is_given_counts_more_than_the_file(tmp_path: Path) -> None:
    file = read_parameters(written(tmp_path, OF_ETS + "endpoint: policy.json\n"))
    settings = Settings.of(file, {"method": "rebase", "variant": "fixed", "policy": "http://there:1"})
    assert settings.make_method() == Rebase(0.2)
    assert (settings.policy, settings.endpoint) == ("http://there:1", None)


def test_llama_of_ets_is_llama3_and_keeps_long_steps(tmp_path: Path) -> None:
    text = OF_ETS.replace("softmax_costmodel", "softmax")
    text = text.replace('policy_model_type: "llemma"', "policy_model_type: llama")
    settings = Settings.of(read_parameters(written(tmp_path, text)), {})
    assert (settings.profile, settings.on_length) == ("llama3", "score")
    assert settings.make_method() == Rebase(0.2, variant="paper")


def test_toml_has_the_names_of_the_options(tmp_path: Path) -> None:
    text = 'method = "dvts"\nfixedwidth = 4\nsamples-at-once = "adaptive"\ndeparture-interval = 0.048\n'
    mends = "[mends]\ndistinct_subtrees = false\n"
    settings = Settings.of(read_parameters(written(tmp_path, text + mends, "search.toml")), {})
    assert settings.make_method() == Dvts(4, mends=Mends(distinct_subtrees=False))
    assert (settings.samples_at_once, settings.departure_interval) == ("adaptive", 0.048)


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({"method": "beam", "fixedwidth": 0}, Beam()),
        ({"method": "best-of-n"}, BestOfN()),
        ({"method": "mcts", "width": 4}, Mcts(32)),
        ({"method": "mcts", "simulations": 9}, Mcts(9)),
    ],
)
def test_methods_have_their_parameters(given: dict[str, Any], method: object) -> None:
    assert Settings.of({}, given).make_method() == method


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width: [", "neither TOML nor YAML"),
        ("- width", "holds no parameters"),
        ("select_method: softmax_with_truncate", "rebase.py has no such method"),
        ("select_method: [softmax]", r"select_method: \['softmax'\]: rebase.py has no such method"),
        ("16: width", "16 is no name of a parameter"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_parameters(written(tmp_path, text))


def test_a_parameter_that_nobody_knows_is_named_with_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match=r"no such parameter: breadth; there are .*lambdac.*width"):
        Settings.of({"breadth": 3}, {})


def test_a_model_of_ets_that_is_no_text_is_refused_as_other_parameters_are(tmp_path: Path) -> None:
    text = OF_ETS.replace('policy_model_type: "llemma"', "policy_model_type: [llemma]")
    with pytest.raises(ConfigurationError, match=r"profile = \['llemma'\]"):
        Settings.of(read_parameters(written(tmp_path, text)), {})


def test_a_file_of_ets_without_a_price_of_nodes_has_the_published_default(tmp_path: Path) -> None:
    text = OF_ETS.replace("lambdac: 1.0\nlambdas: 1.5\n", "")
    assert Settings.of(read_parameters(written(tmp_path, text)), {}).make_method() == Ets(0.0, 0.0, variant="paper")


@pytest.mark.parametrize("method", ["best-of-n", "mcts"])
def test_methods_that_have_no_published_code_refuse_mends_and_say_that_the_variant_changes_nothing(method: str) -> None:
    with pytest.raises(ConfigurationError, match=f"mend no_overshoot means nothing here: {method} has no mends"):
        Settings.of({}, {"method": method, "mends": {"no_overshoot": False}}).make_method()
    assert f"variant paper changes nothing: {method}" in Settings(method=method, variant="paper").describe()[-1]
    assert "changes nothing" not in " ".join(Settings(method=method).describe())
