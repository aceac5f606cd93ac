"""A log keeps its reasons: no call names a field by a word whose value is struck out."""

from __future__ import annotations

import ast
from pathlib import Path

from bridge.logs import _NEVER

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def calls(path: Path) -> list[tuple[int, str]]:
    """Every field of every log call in a file that would be struck out, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LEVELS:
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id in {"log", "level", "logger"}:
            found += [(node.lineno, keyword.arg) for keyword in node.keywords if keyword.arg in _NEVER]
    return found


def test_no_reason_is_logged_under_a_name_that_is_struck_out() -> None:
    files = [path for folder in ("bridge", "adapters") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    lost = [f"{path.relative_to(ROOT)}:{line}: {name}=" for path in files for line, name in calls(path)]
    assert not lost, "name it why="


def test_what_the_test_looks_for_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("log.info('refused', reason='x', text=str(error))")
    assert calls(tmp_path / "one.py") == [(1, "text")]
