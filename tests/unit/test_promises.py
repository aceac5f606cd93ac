"""What the pages promise is held by tests: each that a page names exists, and each promise names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("guarantees.md", "encryption.md", "clocks.md")
NOT_PROMISED = {"Words", "What is not promised", "What Python cannot promise", "Where things are", "Threat model"}
"""Sections that explain, or say what is not so."""

REFERENCE = re.compile(r"`([a-z_/]+)::([a-z0-9_]+)`")


def named_by(page: str) -> list[tuple[str, str]]:
    found = REFERENCE.findall((ROOT / "specs" / page).read_text())
    return [(name, test) for name, test in found if test != "x"]  # x stands for any of them


def file_of(name: str) -> Path:
    """``endpoint/test_x`` stands below ``tests/unit``, everything else below ``tests``."""
    unit = ROOT / "tests" / "unit" / f"{name}.py"
    return unit if unit.exists() else ROOT / "tests" / f"{name}.py"


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    missing = [
        f"{name}::{test}"
        for name, test in named_by(page)
        if not file_of(name).exists() or f"test_{test}" not in functions(file_of(name))
    ]
    assert not missing


def promises(page: str) -> list[str]:
    """The rows of tables and the points of lists in the sections that promise something."""
    found: list[str] = []
    section, header = "", False
    for block in re.split(r"\n(?=\n|[-|#]|\d+\. )", (ROOT / "specs" / page).read_text()):
        text = " ".join(block.split())
        if text.startswith("#"):
            section, header = text.lstrip("# "), True
        elif section in NOT_PROMISED or not text:
            continue
        elif text.startswith("|"):
            if not header and not text.startswith("|---"):
                found.append(text)
            header = False
        elif re.match(r"- |\d+\. ", text):
            found.append(text)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_names_the_test_that_holds_it(page: str) -> None:
    assert len(promises(page)) > 5
    assert not [text for text in promises(page) if not REFERENCE.search(text) and "`make demo`" not in text]
