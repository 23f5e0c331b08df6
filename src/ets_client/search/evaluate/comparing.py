"""The process that does mathematics: two JSON strings a line in, ``yes`` or ``no`` a line out."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["main"]

_MOST_MEMORY = 4 << 30  # bytes; what sympy wants for towers of powers is more than any machine has
_MOST_SECONDS = 600  # then the alarm ends the process: whoever asked was killed, or would have ended it long before


def main() -> None:
    """Answer until the input ends: whether two answers are the same; of one with nothing, whether it is 0 for sympy."""
    import_module("math_verify")  # what is missing is said before anything is asked
    _is_same("1/2", "0.5")  # its parser is built at the first use, which shall be no question's time
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    logging.disable()  # math_verify warns of each call without its own time limit
    with os.fdopen(os.dup(1), "w", buffering=1) as answers, Path(os.devnull).open("w") as nowhere:
        print("ready", file=answers)
        for descriptor in (1, 2):  # what libraries print is no answer, and nobody empties the pipe of errors
            os.dup2(nowhere.fileno(), descriptor)
        for line in sys.stdin:
            one, two = json.loads(line)
            signal.alarm(_MOST_SECONDS)
            try:
                verdict = _is_same(one, two) if two else _is_zero(one)
            except MemoryError:
                return  # what is left of the process is not to be trusted
            except Exception:  # noqa: BLE001 - whatever sympy cannot do with it, it is not the same
                verdict = False
            signal.alarm(0)
            print("yes" if verdict else "no", file=answers)


@lru_cache(maxsize=4096)
def _read(answer: str) -> list[Any]:
    parse = import_module("math_verify").parse  # neither has types

    # As mathematics, whatever dress it came in: without $ "(1,2)" would be 2 and "2\\sqrt{3}" also.
    written = answer if "$" in answer or "\\boxed" in answer else f"${answer}$"
    found: list[Any] = parse(written, parsing_timeout=None)
    return found


def _is_same(one: str, two: str) -> bool:
    verify = import_module("math_verify").verify

    first, second = _read(one), _read(two)
    # It takes its second argument for less strictly written than its first.
    return any(verify(*each, timeout_seconds=None) for each in ((first, second), (second, first)))


def _is_zero(expression: str) -> bool:
    simplify, parser = import_module("sympy").simplify, import_module("sympy.parsing.sympy_parser")
    rules = (*parser.standard_transformations, parser.implicit_multiplication_application)
    return bool(simplify(parser.parse_expr(expression, transformations=rules)) == 0)


if __name__ == "__main__":
    main()
