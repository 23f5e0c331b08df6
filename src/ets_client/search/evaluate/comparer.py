"""Mathematics in a process of its own, so that a comparison that hangs can be ended, in any thread."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

from ...errors import ConfigurationError
from .equality import settled

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Comparer"]

_ARITHMETIC = re.compile(r"(?:[\d\s+*/()-]|\.(?=\d)|(?:sqrt|pi|[a-z])(?![a-z(]|\s*\.)|sqrt\()*")
_START_SECONDS = 60.0  # the import of sympy takes 1.5 s here, on a cold network file system far longer


class Comparer:
    """Says whether two answers are the same. Use it as a context manager; it is called from any thread.

    Each question is put once. The process starts with the first that needs mathematics, and anew after one that took
    too long, which counts as a no. math-verify has a time limit of its own, by a signal that only main threads get;
    sympy can also take all memory (``9^{9^{9^9}}``), which ends the process and not ours.

    Args:
        seconds: the most that one comparison may take.

    Attributes:
        given_up: what took too long, or more memory than a process may have.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        if not seconds > 0:
            raise ConfigurationError(f"seconds = {seconds}: a comparison needs some time, give more than 0")
        self.given_up: list[tuple[str, str]] = []
        self._seconds = seconds
        self._known: dict[tuple[str, str], bool] = {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._stop()

    def __call__(self, one: str, two: str) -> bool:
        """Whether two answers are the same; the order does not matter.

        Raises:
            ConfigurationError: math-verify is needed and not installed.
        """
        verdict = settled(one, two)
        return self._ask((one, two) if one <= two else (two, one)) if verdict is None else verdict

    def is_zero(self, expression: str) -> bool:
        """Whether sympy simplifies an expression in its own notation to 0; False for what is more than arithmetic.

        sympy reads an expression by evaluating it as Python, and models write what they like.
        """
        return _ARITHMETIC.fullmatch(expression) is not None and self._ask((expression, ""))

    def _ask(self, pair: tuple[str, str]) -> bool:
        with self._lock:
            if pair not in self._known:
                self._known[pair] = self._answer(pair)
            return self._known[pair]

    def _answer(self, pair: tuple[str, str]) -> bool:
        process = self._process or self._start()
        assert process.stdin is not None  # noqa: S101 - pipes, see _start
        try:
            process.stdin.write(json.dumps(pair).encode() + b"\n")
            process.stdin.flush()
            line = _read_line(process, self._seconds)
        except BrokenPipeError:
            line = b""
        if not line:
            self.given_up.append(pair)
            self._stop()
        return line == b"yes\n"

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", f"{__package__}.comparing"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._process = process
        if _read_line(process, _START_SECONDS) == b"ready\n":
            return process
        said = self._stop().decode(errors="replace").strip().splitlines()
        raise ConfigurationError(
            "answers are compared by math-verify, which does not start"
            + (f" ({said[-1]})" if said else "")
            + ': pip install "ets-client[search]"'
        )

    def _stop(self) -> bytes:
        """End the process; what it said of errors."""
        process, self._process = self._process, None
        if process is None:
            return b""
        process.kill()
        return process.communicate()[1]


def _read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line; nothing when it does not come in time or the process has ended."""
    assert process.stdout is not None  # noqa: S101 - pipes, see _start
    if not select.select([process.stdout], [], [], seconds)[0]:
        return b""
    return process.stdout.readline()  # a line is written in one piece, and there is one for each question
