from __future__ import annotations

import pytest

from ets_client import ConfigurationError, ServerInfo
from ets_client._core.serves import check_generates, check_reward_head
from tests.fakes import server_info


def serving(*architectures: str, is_generation: bool = False) -> ServerInfo:
    return server_info(is_generation=is_generation, architectures=architectures)


POLICY = serving("LlamaForCausalLM", is_generation=True)
HEADS = ["LlamaForSequenceClassification", "LlamaForClassification", "Qwen2ForRewardModel", "InternLM2ForRewardModel"]


def test_a_policy_generates_and_has_no_head() -> None:
    check_generates(POLICY)
    with pytest.raises(ConfigurationError, match=r"a generation model, m \(LlamaForCausalLM\), which has no reward"):
        check_reward_head(POLICY)


@pytest.mark.parametrize("name", HEADS)
def test_a_reward_model_has_a_head_and_does_not_generate(name: str) -> None:
    check_reward_head(serving(name))
    with pytest.raises(ConfigurationError, match=rf"m \({name}\), which generates no text.*reward_scores"):
        check_generates(serving(name))


def test_an_embedding_model_does_neither() -> None:
    with pytest.raises(ConfigurationError, match="an embedding model"):
        check_reward_head(serving("LlamaEmbeddingModel"))
    with pytest.raises(ConfigurationError, match="generates no text") as caught:
        check_generates(serving("LlamaEmbeddingModel"))
    assert "reward_scores" not in str(caught.value)


def test_a_model_that_does_not_tell_its_architecture_may_have_a_head() -> None:
    check_reward_head(serving())
    with pytest.raises(ConfigurationError, match="not told"):
        check_generates(serving())
