"""Every row of the dialect that a text client can meet has a test, and every case belongs to a row.

`pytest --collect-only -q tests/contract/test_rows.py` lists the rows by section; `rows/` holds them, together with the
rows that a text client cannot meet, and why.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from .cases import CASES, LABEL_CASES, LATER_CASES, REWARD_CASES
from .rows import ROWS, Row

TESTS = Path(__file__).parents[1]
NAMES = [case.section for case in (*CASES, *LABEL_CASES, *LATER_CASES, *REWARD_CASES)]


@cache
def defined_in(file: str) -> set[str]:
    """Names of the tests of a file, as a proof writes it: ``engine/caller`` is ``tests/engine/test_caller.py``."""
    folder, _, name = file.rpartition("/")
    code = (TESTS / folder / f"test_{name}.py").read_text(encoding="utf-8")
    return set(re.findall(r"^ *(?:async )?def test_(\w+)", code, re.MULTILINE))


def cases_of(proof: str) -> list[str]:
    """Names of the cases that a proof names."""
    return [name for name in NAMES if name == proof or ("*" in proof and fnmatchcase(name, proof))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section} {row.says}")
def test_a_row_is_proved_or_its_reason_is_told(row: Row) -> None:
    assert bool(row.proofs) is not bool(row.reason)
    for proof in row.proofs:
        file, separator, name = proof.partition("::")
        assert name in defined_in(file) if separator else cases_of(proof), proof


def test_every_case_belongs_to_a_row() -> None:
    proofs = [proof for row in ROWS for proof in row.proofs if "::" not in proof]
    assert set(NAMES) == {name for proof in proofs for name in cases_of(proof)}


def test_rows_stand_in_the_order_of_their_sections_and_no_chapter_is_left_out() -> None:
    sections = [[int(number) for number in row.section.split(".")] for row in ROWS]
    assert sections == sorted(sections)
    assert {chapter for chapter, *_ in sections} == set(range(1, 9))
