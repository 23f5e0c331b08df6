"""Vectors of texts: what makes two steps alike."""

from __future__ import annotations

from collections import OrderedDict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from .extras import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CharNgrams", "Embedder", "SentenceEmbedder", "default_embedder"]

_INSTEAD = "set lambda_s = 0"
# With scikit-learn's 2 ** 20 a level of 256 takes half as long again; it has some ten thousand different n-grams.
_BUCKETS = 2**17


class Embedder(Protocol):
    """Turns texts into vectors; the smaller the angle between two, the more alike they are."""

    @property
    def name(self) -> str:
        """What it is called in records."""
        ...

    def embed(self, texts: Sequence[str]) -> Any:
        """A row for each text: a numpy array or a scipy sparse one.

        Args:
            texts: the different texts of a level, in order of creation.
        """
        ...


class CharNgrams:
    """TF-IDF of character n-grams, two to four long, by scikit-learn: how alike two texts are written.

    The counts of a text are kept; how rare an n-gram is, is seen from the level alone.

    Args:
        remembered: texts whose counts are kept.
    """

    def __init__(self, remembered: int = 8192) -> None:
        self._rows = _Remembered(remembered)
        self._counter: Any = None

    @property
    def name(self) -> str:
        """``char-tfidf``."""
        return "char-tfidf"

    def embed(self, texts: Sequence[str]) -> Any:
        """A row for each text.

        Args:
            texts: the different texts of a level.

        Raises:
            ConfigurationError: scikit-learn is not installed.
        """
        extraction, sparse = load("sklearn.feature_extraction.text", _INSTEAD), load("scipy.sparse", _INSTEAD)
        if self._counter is None:
            self._counter = extraction.HashingVectorizer(
                n_features=_BUCKETS,
                analyzer="char_wb",
                ngram_range=(2, 4),
                lowercase=False,
                norm=None,
                alternate_sign=False,
            )
        rows = self._rows.of(texts, self._counter.transform)
        return extraction.TfidfTransformer(sublinear_tf=True).fit_transform(sparse.vstack(rows, format="csr"))


class SentenceEmbedder:
    """A model of the sentence-transformers library; the published one by default. Its vectors are kept.

    Args:
        model: name on the Hugging Face hub, or a folder.
        device: for the model, as torch names it; None: torch's choice.
        remembered: texts whose vectors are kept.
    """

    def __init__(
        self,
        model: str = "math-similarity/Bert-MLM_arXiv-MP-class_zbMath",
        device: str | None = None,
        remembered: int = 8192,
    ) -> None:
        self._model_name, self._device = model, device
        self._rows = _Remembered(remembered)
        self._model: Any = None

    @property
    def name(self) -> str:
        """The model's."""
        return self._model_name

    def embed(self, texts: Sequence[str]) -> Any:
        """A row for each text.

        Args:
            texts: the different texts of a level.

        Raises:
            ConfigurationError: sentence-transformers is not installed.
        """
        if self._model is None:
            library = load("sentence_transformers", "take CharNgrams()", "embed")
            self._model = library.SentenceTransformer(self._model_name, device=self._device)
        np = load("numpy", _INSTEAD)
        return np.array(self._rows.of(texts, lambda unseen: self._model.encode(unseen, batch_size=64)))


def default_embedder() -> Embedder:
    """The published model when sentence-transformers is installed, else :class:`CharNgrams`."""
    return CharNgrams() if find_spec("sentence_transformers") is None else SentenceEmbedder()


class _Remembered:
    """Rows of the texts that were used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: OrderedDict[str, Any] = OrderedDict()

    def of(self, texts: Sequence[str], make: Callable[[list[str]], Any]) -> list[Any]:
        # Searches of several threads may share an embedder, so a row that was found is held.
        rows: dict[str, Any] = {text: self._rows.get(text) for text in texts}
        unseen = [text for text, row in rows.items() if row is None]
        if unseen:
            made = make(unseen)
            rows.update((text, made[place]) for place, text in enumerate(unseen))
        for text, row in rows.items():
            self._rows.pop(text, None)
            self._rows[text] = row
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)
        return [rows[text] for text in texts]
