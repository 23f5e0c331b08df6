"""The ledger of a client: what its trees cost, told event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .._record import Record
from ..ledger import NO_PROBES, LedgerRow
from .id_runs import ID_BYTES
from .ledger_ended import SUMMED, EndedTrees
from .ledger_level import Level
from .ledger_paths import Paths
from .ledger_tree import TreeAccount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prefix import Prefix

__all__ = ["Accounts", "Answer"]

_OPEN_ROOTS = 1024  # trees without a scope; the one that was used least lately ends when there are more
_GIVEN_TOKENS = 4_000_000  # of which 4 bytes each are kept, twice at most
_NAME_CHARACTERS = 40
_NO_ID = b"\xff" * ID_BYTES


class Answer(Record, frozen=True):
    """What came back of the samples of one request, or of a prefill.

    Attributes:
        prefix: their prompt.
        outputs: what each sample generated that ran; empty for one that was aborted before its first token.
        samples: how many there were, those included that never ran.
        prefills: how many there were besides, of which no output was asked for.
        generated: tokens of all samples.
        predicted: tokens that they should have found in the cache, of those that ran.
        asked: their prompt tokens as the server counted them: 0 for one that never ran.
        reused: of these, tokens that were in the cache.
        retractions: how often they lost their room.
        is_wanted: False when their call had been pruned before they came.
        closed: places of those outputs that ended the text, and not at a stop string, a pattern or a length.
    """

    prefix: Prefix
    outputs: Sequence[Sequence[int]]
    samples: int
    prefills: int
    generated: int
    predicted: int
    asked: int
    reused: int
    retractions: int = 0
    is_wanted: bool = True
    closed: Sequence[int] = ()


class Accounts:
    """All trees of a client. Times are seconds on one clock that never goes back; the caller reads it.

    Attributes:
        maker: what prefixes are marked with that this client's samples generated (:attr:`Prefix.made_by`).
        probes: what label probes cost.
    """

    def __init__(self, *, open_roots: int = _OPEN_ROOTS, given_tokens: int = _GIVEN_TOKENS) -> None:
        """Begin without any tree.

        Args:
            open_roots: trees without a scope that are open at most.
            given_tokens: of prompts that were not generated here, how many are remembered at least.
        """
        self.maker = Maker()
        self.probes = NO_PROBES
        self._open_roots = open_roots
        self._given_tokens = given_tokens
        self._given, self._given_before = Paths(), Paths()
        self._scopes: dict[TreeAccount, None] = {}
        self._of_root: dict[bytes, TreeAccount] = {}  # the one that was used least lately is the first
        self._paths = Paths()  # of all these
        self._ended = EndedTrees()
        self._live = Level()
        self._tokens = 0  # of all trees, each alone
        self._root_tokens = 0  # of these, tokens of what is in _roots, each alone
        self._roots = Paths()
        self._last: tuple[Prefix, TreeAccount] | None = None

    def open(self, name: str) -> TreeAccount:
        """A tree with a scope begins."""
        account = TreeAccount(name)
        self._scopes[account] = None
        return account

    def close(self, account: TreeAccount, at: float) -> None:
        """It has ended: nothing of it is in use any more."""
        del self._scopes[account]
        self._end(account, at)

    def expand(self, account: TreeAccount | None, prefix: Prefix, at: float) -> None:
        """A call asks for samples."""
        self._account(account, prefix, at).expands += 1

    def answer(self, account: TreeAccount | None, answer: Answer, at: float) -> None:
        """The samples of a request have come back, or a prefill."""
        prefix, outputs = answer.prefix, answer.outputs
        tree = self._account(account, prefix, at)
        tree.samples += answer.samples
        tree.prefills += answer.prefills
        tree.generated += answer.generated
        tree.predicted += answer.predicted
        tree.asked += answer.asked
        tree.reused += answer.reused
        tree.retractions += answer.retractions
        if not outputs:
            return
        before = tree.tokens
        # Whoever computes everything once computes the prompt for the first of them, and its last token for each other.
        first = 1 if prefix.made_by is self.maker else self._least_of_given(tree, prefix)
        tree.least += first + len(outputs) - 1
        node = tree.sent(prefix) if answer.is_wanted else None
        if not node:
            tree.generated_after_prune += sum(map(len, outputs))
            return
        if prefix.parent is None and tree.tokens - before == len(prefix):
            self._share_root(tree, prefix)
        tree.published.sent(prefix, tree.paths, node, self.maker)
        candidates = 0
        for place, ids in enumerate(outputs):
            if ids and tree.grow(node, ids) and place not in answer.closed:
                candidates += len(ids)
        if candidates:
            tree.published.candidates(candidates, tree.paths, node, self.maker)
        self._changed(tree, before, at)

    def unanswered(self, account: TreeAccount | None, prefix: Prefix, samples: int, at: float) -> None:
        """Samples were lost: no reply came."""
        self._account(account, prefix, at).unanswered += samples

    def prune(self, account: TreeAccount | None, prefix: Prefix, at: float) -> bool:
        """A path is not in use any more; see :meth:`TreeAccount.prune`."""
        tree = self._account(account, prefix, at)
        before = tree.tokens
        is_gone = tree.prune(prefix)
        if is_gone and (node := tree.take_root(prefix)):
            self._release_root(node)
        self._changed(tree, before, at)
        return is_gone

    def is_pruned(self, account: TreeAccount | None, prefix: Prefix) -> bool:
        """Whether nobody wants what is asked of a path; see :meth:`TreeAccount.is_pruned`."""
        tree = self._of_root.get(_key(prefix.root)) if account is None else account
        return tree is not None and tree.is_pruned(prefix)

    def probed(self, probes: int, asked: int, reused: int) -> None:
        """Labels were probed: a prompt with a label behind each. What they ask is in no tree."""
        row = self.probes
        self.probes = replace(row, samples=row.samples + probes, asked=row.asked + asked, reused=row.reused + reused)

    def unanswered_probes(self, probes: int) -> None:
        """Of so many no reply came."""
        self.probes = replace(self.probes, unanswered=self.probes.unanswered + probes)

    def total(self, at: float) -> LedgerRow:
        """Of all trees."""
        rows = self.rows(at)
        counts = {name: sum(getattr(row, name) for row in (self._ended.sum, *rows)) for name in SUMMED}
        area, seconds = self._live.area(at), self._live.seconds(at)
        return replace(
            self._ended.sum,
            **counts,
            live=self._live.value,
            live_peak=self._live.peak,
            live_mean=area / seconds if seconds > 0 else float(self._live.value),
            live_token_seconds=area,
            seconds=seconds,
        )

    def rows(self, at: float) -> tuple[LedgerRow, ...]:
        """Of each tree that is open, after those that ended last."""
        return (*self._ended.rows(at), *[tree.row(at) for tree in (*self._scopes, *self._of_root.values())])

    def _account(self, account: TreeAccount | None, prefix: Prefix, at: float) -> TreeAccount:
        if account is not None:
            return account
        if self._last is not None and self._last[0] is prefix:  # of one request most often
            return self._last[1]
        root = prefix.root
        key = _key(root)
        tree = self._of_root.pop(key, None)
        if tree is None:
            tree = TreeAccount(root.text[-_NAME_CHARACTERS:], self._paths)
            if len(self._of_root) >= self._open_roots:
                self._end(self._of_root.pop(next(iter(self._of_root))), at)
        self._of_root[key] = tree
        self._last = prefix, tree
        return tree

    def _least_of_given(self, tree: TreeAccount, prefix: Prefix) -> int:
        if not tree.is_open or not tree.is_new(prefix):
            return 1
        given, before = self._given, self._given_before
        space = prefix.origin.namespace
        top = given.top(space)
        known = max(tree.computed(prefix), given.computed(top, prefix), before.computed(before.top(space), prefix))
        if given.tokens > self._given_tokens:
            self._given_before, given = given, Paths()
            self._given, top = given, given.top(space)
        given.was_sent[given.put(top, prefix.path_bytes)] = 1
        return max(1, len(prefix) - known)

    def _share_root(self, tree: TreeAccount, prefix: Prefix) -> None:
        node = self._roots.put(self._roots.top(prefix.origin.namespace), prefix.path_bytes)
        self._roots.ends[node] += 1
        tree.hold_root(prefix, node)
        self._root_tokens += len(prefix)

    def _release_root(self, node: int) -> None:
        self._root_tokens -= self._roots.end[node]
        self._roots.release(node)

    def _changed(self, tree: TreeAccount, before: int, at: float) -> None:
        self._tokens += tree.tokens - before
        tree.live.set(tree.tokens, at)
        self._live.set(self._tokens - self._root_tokens + self._roots.tokens, at)

    def _end(self, tree: TreeAccount, at: float) -> None:
        self._last = None
        before = tree.tokens
        for node in tree.roots:
            self._release_root(node)
        tree.end(at)
        self._tokens -= before
        self._live.set(self._tokens - self._root_tokens + self._roots.tokens, at)
        self._ended.add(tree, at)

    def __repr__(self) -> str:
        return f"Accounts({len(self._scopes) + len(self._of_root)} open, {self._live.value} live tokens)"


def _key(root: Prefix) -> bytes:
    """Equal for equal roots. Of most it is what the paths hold anyway; a tuple, or a hash, would be one more object."""
    space = root.origin.namespace
    return root.step_bytes if space is None else root.step_bytes + _NO_ID + space.encode("utf-8", "surrogatepass")


class Maker:
    """The mark of one client on the prefixes that its samples generated."""

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # a prefix that is pickled, or kept in a journal, was generated by another run
