"""The ledger of a client: what its trees cost, told event by event."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from .._record import Record
from ..ledger import NO_PROBES
from .ledger_ended import EndedTrees
from .ledger_paths import Paths
from .ledger_published import PublishedKV
from .ledger_roots import RootAccount, RootTrees
from .ledger_rows import EXPANDS, GENERATED_AFTER_PRUNE, LEAST, UNANSWERED, WIDTH, Rows
from .ledger_scope import ScopeAccount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..ledger import LedgerRow
    from ..prefix import Prefix
    from .ledger_tree import TreeAccount

__all__ = ["Accounts", "Answer"]

_OPEN_ROOTS = 1024  # trees without a scope; the one that was used least lately ends when there are more
_SHOWN_ENDED = 1024  # trees that ended last and have rows of their own
_GIVEN_TOKENS = 4_000_000  # of which 4 bytes each are kept, twice at most


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

    def __init__(
        self, *, open_roots: int = _OPEN_ROOTS, shown_ended: int = _SHOWN_ENDED, given_tokens: int = _GIVEN_TOKENS
    ) -> None:
        """Begin without any tree.

        Args:
            open_roots: trees without a scope that are open at most.
            shown_ended: trees that have ended and are shown by themselves.
            given_tokens: of prompts that were not generated here, how many are remembered at least.
        """
        self.maker = Maker()
        self.probes = NO_PROBES
        self._published = PublishedKV(self.maker)
        self._given_tokens = given_tokens
        self._given, self._given_before = Paths(), Paths()
        self._scopes: dict[TreeAccount, None] = {}
        self._open_roots = RootTrees(open_roots, shown_ended)
        self._ended = EndedTrees(shown_ended, self._open_roots)
        self._live = Rows()  # of all trees together
        self._tokens = 0  # of all trees, each alone
        self._root_tokens = 0  # of these, tokens of what is in _roots, each alone
        self._roots = Paths()
        self._last: tuple[Prefix, TreeAccount] | None = None

    def open(self, name: str) -> TreeAccount:
        """A tree with a scope begins."""
        account = ScopeAccount(name)
        self._scopes[account] = None
        return account

    def close(self, account: TreeAccount, at: float) -> None:
        """It has ended: nothing of it is in use any more."""
        del self._scopes[account]
        self._end(account, at)

    def expand(self, account: TreeAccount | None, prefix: Prefix, at: float) -> None:
        """A call asks for samples."""
        if account is None:
            number = self._number(prefix, at)
            self._open_roots.rows.counts[number * WIDTH + EXPANDS] += 1
        else:
            account.counts[account.first + EXPANDS] += 1

    def answer(self, account: TreeAccount | None, answer: Answer, at: float) -> None:
        """The samples of a request have come back, or a prefill."""
        prefix, outputs = answer.prefix, answer.outputs
        tree = self._account(account, prefix, at)
        tree.count(answer)
        if not outputs:
            return
        paths, counts = tree.paths, tree.counts
        before, node = paths.tokens, tree.known(prefix)
        # Whoever computes everything once computes the prompt for the first of them, and its last token for each other.
        is_given = prefix.made_by is not self.maker and not (node and paths.was_sent[node])
        first = self._least_of_given(tree, prefix) if is_given else 1
        counts[tree.first + LEAST] += first + len(outputs) - 1
        if answer.is_wanted:
            node = node or tree.enter(prefix)
        if not node or not answer.is_wanted:
            counts[tree.first + GENERATED_AFTER_PRUNE] += sum(map(len, outputs))
            if paths.tokens != before:  # it begins with what was never sent
                self._grown(tree, paths.tokens - before, at)
            return
        paths.was_sent[node] = 1
        if prefix.parent is None and paths.tokens - before == len(prefix):
            self._share_root(tree, prefix)
        self._published.sent(tree, prefix, node)
        candidates = 0
        for place, ids in enumerate(outputs):
            if ids and tree.grow(node, ids) and place not in answer.closed:
                candidates += len(ids)
        if candidates:
            self._published.candidates(tree, prefix, node, candidates)
        self._grown(tree, paths.tokens - before, at)

    def unanswered(self, account: TreeAccount | None, prefix: Prefix, samples: int, at: float) -> None:
        """Samples were lost: no reply came."""
        tree = self._account(account, prefix, at)
        tree.counts[tree.first + UNANSWERED] += samples

    def prune(self, account: TreeAccount | None, prefix: Prefix, at: float) -> bool:
        """A path is not in use any more; see :meth:`TreeAccount.prune`."""
        tree = self._account(account, prefix, at)
        paths, before = tree.paths, tree.paths.tokens
        is_gone = tree.prune(prefix)
        if is_gone and (node := tree.take_root(prefix)):
            self._release_root(node)
        self._grown(tree, paths.tokens - before, at)
        return is_gone

    def is_pruned(self, account: TreeAccount | None, prefix: Prefix) -> bool:
        """Whether nobody wants what is asked of a path; see :meth:`TreeAccount.is_pruned`."""
        tree = self._open_roots.find(prefix.root) if account is None else account
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
        sums = list(self._ended.sums)
        for tree in self._trees():
            tree.add_to(sums)
        return self._live.row(0, "", at, sums)

    def rows(self, at: float) -> tuple[LedgerRow, ...]:
        """Of each tree that is open, after those that ended last."""
        return tuple([tree.row(at) for tree in self._trees()])

    def _trees(self) -> Iterator[TreeAccount]:
        return chain(self._ended, self._scopes, self._open_roots)

    def _account(self, account: TreeAccount | None, prefix: Prefix, at: float) -> TreeAccount:
        if account is not None:
            return account
        if self._last is not None and self._last[0] is prefix:  # of one request most often
            return self._last[1]
        tree = RootAccount(self._open_roots, self._number(prefix, at))
        self._last = prefix, tree
        return tree

    def _number(self, prefix: Prefix, at: float) -> int:
        """Of the tree of a call without a scope, which begins if it must."""
        trees, root = self._open_roots, prefix.root
        number = trees.use(root)
        if number is None:
            if (oldest := trees.take_oldest()) is not None:
                self._end(oldest, at)
            number = trees.open(root)
        return number

    def _least_of_given(self, tree: TreeAccount, prefix: Prefix) -> int:
        if not tree.is_open:
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

    def _grown(self, tree: TreeAccount, tokens: int, at: float) -> None:
        self._tokens += tokens
        tree.grown(tokens, at)
        self._update_live(at)

    def _end(self, tree: TreeAccount, at: float) -> None:
        self._last = None
        self._published.clear()
        for node in tree.roots:
            self._release_root(node)
        self._tokens -= tree.tokens
        tree.end(at)
        self._update_live(at)
        self._ended.add(tree)

    def _update_live(self, at: float) -> None:
        live = self._live
        live.add_live(0, self._tokens - self._root_tokens + self._roots.tokens - live.live(0), at)

    def __repr__(self) -> str:
        return f"Accounts({len(self._scopes) + len(self._open_roots)} open, {self._live.live(0)} live tokens)"


class Maker:
    """The mark of one client on the prefixes that its samples generated."""

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # a prefix that is pickled, or kept in a journal, was generated by another run
