"""Which prefix a text was: its_hub hands steps on as text, and the server has token ids in its cache. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from ...branch import EndReason

if TYPE_CHECKING:
    from ...branch import Branch
    from ...prefix import Prefix

__all__ = ["Conversation", "KnownPath", "TextPaths"]

Conversation = tuple[tuple[str, str], ...]  # role and content of each message before the response


@dataclass(frozen=True, slots=True)
class KnownPath:
    """A response, or the beginning of one, that was sampled or tokenised before.

    Attributes:
        prefix: its tokens.
        text: of the response's tokens.
        branch: the last step; None where there is none, and of text that was tokenised.
        stops: strings that could end the last step.
    """

    prefix: Prefix
    text: str
    branch: Branch | None = None
    stops: tuple[str, ...] = ()

    @property
    def is_ended(self) -> bool:
        """Whether the model ended its turn here."""
        return self.branch is not None and self.branch.end is EndReason.EOS

    def is_only_closed_by(self, rest: str) -> bool:
        """Whether a text behind this path is no more than the stops that its_hub puts behind each step.

        Args:
            rest: the text.
        """
        for stop in self.stops:
            rest = rest.replace(stop, "")
        return not rest.strip()

    def written_on(self, ids: list[int], text: str) -> KnownPath:
        """This path with text behind it that the model did not write.

        Args:
            ids: the text's tokens.
            text: the text.
        """
        prefix, branch = self.prefix, self.branch
        if branch is not None and branch.end is EndReason.EOS and prefix.parent is not None:
            # The end of the turn has a token and no text: what goes on has not ended.
            kept = branch.token_ids[:-1]
            prefix = prefix.parent.child(kept, branch.text) if kept else prefix.parent
        return KnownPath(prefix.child(ids, text), self.text + text)


class TextPaths:
    """The paths that are known, by conversation and text. Any thread may use it.

    One path has several texts: its_hub cuts a step's stop off or keeps it, and a step's last token may carry characters
    beyond the stop. Where a path's own text is longer than the one that it is found by, the rest belongs to the
    beginning of the next step.
    """

    def __init__(self, most: int) -> None:
        """Know nothing.

        Args:
            most: texts that are remembered; those of the conversation that was longest not used go first.
        """
        self._most = most
        self._count = 0
        self._conversations: OrderedDict[Conversation, OrderedDict[str, KnownPath]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return self._count

    def add(self, conversation: Conversation, path: KnownPath, *texts: str) -> None:
        """Remember a path.

        Args:
            conversation: what it answers.
            path: the path.
            texts: by which it can be found.
        """
        with self._lock:
            known = self._conversations.setdefault(conversation, OrderedDict())
            self._conversations.move_to_end(conversation)
            for text in texts:
                self._count += text not in known
                known[text] = path
                known.move_to_end(text)
            while self._count > self._most:
                oldest, paths = next(iter(self._conversations.items()))
                paths.popitem(last=False)
                self._count -= 1
                if not paths:
                    del self._conversations[oldest]

    def find(self, conversation: Conversation, text: str) -> KnownPath | None:
        """The path of a response, or None when nobody knows.

        Args:
            conversation: what it answers.
            text: its text, as its_hub put it together.
        """
        with self._lock:
            known = self._conversations.get(conversation)
            if known is None or text not in known:
                return None
            self._conversations.move_to_end(conversation)
            known.move_to_end(text)
            return known[text]

    def longest(self, conversation: Conversation, text: str) -> KnownPath | None:
        """The longest known path whose text is a beginning of this one, or None.

        Args:
            conversation: what it answers.
            text: of a response.
        """
        with self._lock:
            known = self._conversations.get(conversation) or OrderedDict[str, KnownPath]()
            fits = [path for key, path in known.items() if path.text == key and text.startswith(key)]
            return max(fits, key=lambda path: len(path.text), default=None)
