"""What a call sends and how its reply is read, through all of its tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .._core.pace import Work
    from .outgoing import Outgoing

__all__ = ["Exchange", "Question"]

T = TypeVar("T")


class Exchange(Protocol[T]):
    """A request, as often as it is sent, and its reply.

    One object with methods rather than a function for each: every function that waits with a call is one more object
    for the garbage collector to walk, and with 1,024 calls in flight that walk was a sixth of the client's CPU.
    """

    @property
    def first(self) -> Callable[[bytes], bool] | None:
        """Of a reply that streams: given its events as they come, until it says True. None: the reply does not."""
        ...

    def write(self) -> Outgoing:
        """Make a try; called for each, so that every try has its own request ids."""
        ...

    def read(self, body: bytes, /) -> T:
        """Read the reply's body.

        Raises:
            BrokenReplyError: it cannot be read.
        """
        ...

    def did(self, result: T, /) -> Work | None:
        """What a result shows to have been done; None when it teaches nothing of the server's speed."""
        ...

    async def again(self) -> None:
        """Awaited before every try that does not go out at once: what was known may be old."""
        ...


class Question(Generic[T]):
    """An exchange made of functions, for what is seldom asked."""

    __slots__ = ("_before_resend", "_did", "_read", "_write")

    def __init__(
        self,
        write: Callable[[], Outgoing],
        read: Callable[[bytes], T],
        did: Callable[[T], Work] | None = None,
        before_resend: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Make it; see :class:`Exchange` for what each function is."""
        self._write = write
        self._read = read
        self._did = did
        self._before_resend = before_resend

    @property
    def first(self) -> None:
        """It does not stream."""

    def write(self) -> Outgoing:
        """Make a try."""
        return self._write()

    def read(self, body: bytes) -> T:
        """Read the reply's body."""
        return self._read(body)

    def did(self, result: T) -> Work | None:
        """What a result shows to have been done."""
        return None if self._did is None else self._did(result)

    async def again(self) -> None:
        """Before every try that does not go out at once."""
        if self._before_resend is not None:
            await self._before_resend()
