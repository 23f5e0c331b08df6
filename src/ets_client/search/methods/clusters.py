"""Which steps of a level say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ...errors import ConfigurationError
from .extras import load
from .texts import Embedder, default_embedder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Clusterer", "TextClusters"]

_INSTEAD = "set lambda_s = 0"


class Clusterer(Protocol):
    """Tells which texts belong together."""

    @property
    def name(self) -> str:
        """What it is called in records."""
        ...

    def clusters(self, texts: Sequence[str]) -> list[int]:
        """A label for each text; texts of one cluster have the same. Equal arguments have equal results.

        Args:
            texts: the steps of a level, at least two different ones.
        """
        ...


class TextClusters:
    """Agglomerative clusters of the texts' vectors: average linkage, cosine distance.

    Args:
        embedder: makes the vectors; None: the published model when sentence-transformers is installed, else TF-IDF
            of character n-grams.
        distance: at which clusters are no longer joined. Published: 0.05.
    """

    def __init__(self, embedder: Embedder | None = None, distance: float = 0.05) -> None:
        self._embedder, self._distance = embedder, distance

    @property
    def name(self) -> str:
        """The embedder's, and the distance."""
        return f"{self._chosen().name}, average linkage, cosine < {self._distance:g}"

    def clusters(self, texts: Sequence[str]) -> list[int]:
        """A label for each text, counted from 0 in order of appearance.

        Args:
            texts: the steps of a level.

        Raises:
            ConfigurationError: a library is not installed, which the message names, or a text has no vector.
            ValueError: a vector is not finite.
        """
        distinct = list(dict.fromkeys(texts))
        if len(distinct) < 2:
            return [0] * len(texts)
        np, hierarchy = load("numpy", _INSTEAD), load("scipy.cluster.hierarchy", _INSTEAD)
        rows = self._vectors(distinct, np)
        alike = rows @ rows.T
        alike = np.asarray(alike.toarray() if hasattr(alike, "toarray") else alike, dtype=np.float64)
        sizes = np.sqrt(np.diagonal(alike))
        sizes[sizes == 0] = 1.0  # a text of which nothing is known is like no other
        apart = np.maximum(0.0, 1.0 - alike / np.outer(sizes, sizes))
        np.fill_diagonal(apart, 0.0)
        # Equal texts count as often as they were said: average linkage weighs clusters by their members.
        place = {text: number for number, text in enumerate(distinct)}
        which = np.array([place[text] for text in texts])
        upper = np.triu_indices(len(texts), k=1)
        tree = hierarchy.linkage(apart[which[upper[0]], which[upper[1]]], method="average")
        found: list[int] = hierarchy.fcluster(tree, self._distance, criterion="distance").tolist()
        order = {label: number for number, label in enumerate(dict.fromkeys(found))}
        return [order[label] for label in found]

    def _vectors(self, texts: list[str], np: Any) -> Any:
        rows = self._chosen().embed(texts)
        if not hasattr(rows, "toarray"):
            rows = np.asarray(rows, dtype=np.float64)  # products of short integers and of float16 run over
        if rows.ndim != 2 or rows.shape[0] != len(texts):
            raise ConfigurationError(
                f"the embedder {self._chosen().name!r} gave an array of shape {rows.shape} for {len(texts)} texts: it "
                "must give a row for each"
            )
        if hasattr(rows, "toarray") or np.isfinite(rows).all():
            return rows
        bad = texts[int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])]
        raise ValueError(f"the embedder {self._chosen().name!r} gave a vector that is not finite for {bad[:80]!r}")

    def _chosen(self) -> Embedder:
        if self._embedder is None:
            self._embedder = default_embedder()
        return self._embedder

    def __repr__(self) -> str:
        return f"TextClusters({self.name})"
