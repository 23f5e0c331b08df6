"""Which steps say the same: vectors of texts, and their clusters."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from random import Random
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage  # type: ignore[import-untyped]

from ets_client import ConfigurationError
from ets_client.search.methods import CharNgrams, Ets, NodeView, SentenceEmbedder, TextClusters, TreeView
from ets_client.search.methods.texts import default_embedder

from .trees import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = [
    "First, we multiply 3 by 4, which gives 12.",
    "Let x be the number of cats. Then 4x = 12.",
    "First, we multiply 3 by 4, which gives 12",
    "The answer is 12.",
    "First, we multiply 3 by 4, which gives 12.",
]


@dataclass
class Angles:
    """Texts are angles in degrees: their distance is known."""

    asked: list[list[str]] = field(default_factory=list)
    name: str = "angles"

    def embed(self, texts: Sequence[str]) -> Any:
        self.asked.append(list(texts))
        turns = np.radians([float(text) for text in texts])
        return np.column_stack([np.cos(turns), np.sin(turns)])


def test_texts_within_the_distance_are_one_cluster() -> None:
    # 1 - cos(18 degrees) = 0.049, 1 - cos(19 degrees) = 0.054.
    assert TextClusters(Angles()).clusters(["0", "18", "90", "90"]) == [0, 0, 1, 1]
    assert TextClusters(Angles()).clusters(["0", "19", "90", "90"]) == [0, 1, 2, 2]
    assert TextClusters(Angles(), distance=0.2).clusters(["0", "19", "90", "30"]) == [0, 0, 1, 0]


def test_labels_count_up_in_order_of_appearance() -> None:
    assert TextClusters(Angles()).clusters(["90", "0", "91", "180"]) == [0, 1, 0, 2]


def test_the_embedder_sees_each_text_once() -> None:
    angles = Angles()
    TextClusters(angles).clusters(["0", "90", "0"])
    assert angles.asked == [["0", "90"]]


def test_equal_texts_are_one_cluster_and_need_no_vectors() -> None:
    angles = Angles()
    assert TextClusters(angles).clusters(["5", "5"]) == [0, 0]
    assert angles.asked == []


# Two pairs equally far apart could be joined in either order: round angles have such pairs, drawn ones have none.
@given(st.lists(st.integers(0, 60).map(lambda seed: Random(seed).uniform(0, 60)), min_size=2, max_size=12))
def test_clusters_are_scipys_of_all_texts_repeated_ones_included(angles: list[float]) -> None:
    texts = [str(angle) for angle in angles]
    labels = TextClusters(Angles()).clusters(texts)
    direct = fcluster(linkage(Angles().embed(texts), method="average", metric="cosine"), 0.05, criterion="distance")
    pairs = [(one, other) for one in range(len(texts)) for other in range(one)]
    apart = 1 - np.cos(np.radians(angles)[:, None] - np.radians(angles)[None, :])
    if np.abs(apart - 0.05).min() > 1e-6:  # a pair at the cut itself may fall to either side
        assert [labels[one] == labels[other] for one, other in pairs] == [
            bool(direct[one] == direct[other]) for one, other in pairs
        ]


def test_steps_that_differ_in_a_point_are_alike_by_their_characters() -> None:
    assert TextClusters(CharNgrams(), distance=0.2).clusters(STEPS) == [0, 1, 0, 2, 0]


def test_counts_of_a_text_are_made_once_and_the_oldest_are_forgotten() -> None:
    embedder = CharNgrams(remembered=3)
    first = embedder.embed(STEPS[:2])
    assert (embedder.embed(STEPS[:2]) != first).nnz == 0
    embedder.embed(["some", "thing"])
    assert list(embedder._rows._rows) == [STEPS[1], "some", "thing"]
    assert (embedder.embed(STEPS[:2]) != first).nnz == 0


def test_more_texts_than_are_remembered_have_vectors_all_the_same() -> None:
    assert CharNgrams(remembered=1).embed(STEPS).shape[0] == len(STEPS)


@dataclass
class Fixed:
    """Gives what it was told to."""

    rows: Any
    name: str = "fixed"

    def embed(self, texts: Sequence[str]) -> Any:
        return self.rows


@pytest.mark.parametrize("kind", [np.int8, np.float16, np.float32, list])
def test_vectors_of_any_kind_of_number_have_their_angles(kind: Any) -> None:
    rows = [[100, 100, 0], [100, 99, 0], [0, 0, 100]]
    made = rows if kind is list else np.array(rows, dtype=kind) * kind(1 if kind is np.int8 else 100)
    assert TextClusters(Fixed(made)).clusters(["a", "b", "c"]) == [0, 0, 1]


def test_vectors_without_length_are_like_no_other() -> None:
    assert TextClusters(Fixed(np.zeros((3, 4)))).clusters(["a", "b", "a", "c"]) == [0, 1, 0, 2]


def test_an_embedder_that_gives_no_vectors_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'fixed' gave an array of shape \(1, 3\) for 2 texts"):
        TextClusters(Fixed(np.ones((1, 3)))).clusters(["a", "b"])
    with pytest.raises(ValueError, match="'fixed' gave a vector that is not finite for 'b'"):
        TextClusters(Fixed(np.array([[1.0], [np.nan]]))).clusters(["a", "b"])


def test_a_text_without_any_ngram_is_like_no_other() -> None:
    assert TextClusters(CharNgrams()).clusters(["", "abc", " "]) == [0, 1, 2]


def sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A library in place of sentence-transformers, whose vectors are angles; gives what it is asked."""
    asked: list[list[str]] = []

    class SentenceTransformer:
        def __init__(self, name: str, device: str | None) -> None:
            assert (name, device) == ("some/model", "cpu")

        def encode(self, texts: list[str], batch_size: int) -> Any:
            assert batch_size == 64
            asked.append(texts)
            return Angles().embed(texts)

    library = ModuleType("sentence_transformers")
    library.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    library.__spec__ = SimpleNamespace(name="sentence_transformers")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    return asked


def test_sentence_vectors_are_made_once_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sentence_transformers(monkeypatch)
    clusters = TextClusters(SentenceEmbedder("some/model", device="cpu"))
    assert clusters.clusters(["0", "90", "1"]) == [0, 1, 0]
    assert clusters.clusters(["0", "45"]) == [0, 1]
    assert asked == [["0", "90", "1"], ["45"]]
    assert clusters.name == "some/model, average linkage, cosine < 0.05"


def test_the_published_model_is_taken_when_its_library_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence_transformers(monkeypatch)
    assert default_embedder().name == "math-similarity/Bert-MLM_arXiv-MP-class_zbMath"
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setattr("ets_client.search.methods.texts.find_spec", lambda name: None)
    assert default_embedder().name == "char-tfidf"


@pytest.mark.parametrize(
    ("module", "embedder", "extra"),
    [
        ("scipy.cluster.hierarchy", Angles(), "search"),
        ("sklearn.feature_extraction.text", CharNgrams(), "search"),
        ("sentence_transformers", SentenceEmbedder(), "embed"),
    ],
)
def test_what_is_missing_is_said_with_the_extra_that_brings_it(
    module: str, embedder: Any, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf'{module} is missing: pip install "ets-client\[{extra}\]", or '):
        TextClusters(embedder).clusters(["0", "1"])


def test_ets_keeps_one_of_each_kind_of_step() -> None:
    texts = [STEPS[0], STEPS[2], STEPS[1], STEPS[3]]
    nodes = [ROOT, *(NodeView(place, 0, 1, 10, 0.9 - place / 100, text) for place, text in enumerate(texts, 1))]
    method = Ets(3.0, 3.0, clusterer=TextClusters(CharNgrams(), distance=0.2))
    decision = method.decide(TreeView(nodes, 1, 4))
    assert decision.notes["clusters"] == [[1, 0], [2, 0], [3, 1], [4, 2]]
    assert decision.notes["kept"] == [1, 3, 4]
    assert "clusters by char-tfidf, average linkage, cosine < 0.2" in method.describe()
    assert repr(method.clusterer) == "TextClusters(char-tfidf, average linkage, cosine < 0.2)"


def test_a_method_without_clusters_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("numpy", "scipy", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    nodes = [ROOT, NodeView(1, 0, 1, 10, 0.9, "a"), NodeView(2, 0, 1, 10, 0.2, "b")]
    assert Ets(1.0).decide(TreeView(nodes, 1, 4)).children == {1: 4}
