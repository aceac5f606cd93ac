"""The page that walks a newcomer through one message shows the code as it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "specs" / "architecture.md").read_text(encoding="utf-8")
FILE = re.compile(r'(\w+)\["([\w/.]+\.py)"\]')
SOLID = re.compile(r"(\w+)(?:\[[^\]]*\])? --> (\w+)")
DOTTED = re.compile(r'(\w+)(?:\[[^\]]*\])? -\. "[^"]+" \.-> (\w+)')
FILES = dict(FILE.findall(PAGE))


def imports(path: str) -> set[str]:
    """The modules that a file of ours imports, as paths."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {f"{name.replace('.', '/')}.py" for name in names}
    return found


def test_every_file_of_the_picture_is_there_once() -> None:
    assert len(FILES) == len(set(FILES.values())) == 15
    assert [path for path in FILES.values() if not (ROOT / path).is_file()] == []


def test_a_solid_arrow_is_an_import_and_a_dotted_one_is_none_either_way() -> None:
    solid, dotted = SOLID.findall(PAGE), DOTTED.findall(PAGE)
    assert len(solid) == 8
    assert len(dotted) == 6
    assert [pair for pair in solid if FILES[pair[1]] not in imports(FILES[pair[0]])] == []
    for one, other in dotted:
        assert FILES[other] not in imports(FILES[one])
        assert FILES[one] not in imports(FILES[other])


def test_the_walk_goes_forward_only_and_is_short() -> None:
    """Whoever follows the arrows never comes back; between the two adapters there are thirteen files."""
    arrows = SOLID.findall(PAGE) + DOTTED.findall(PAGE)
    order = list(FILES)
    assert all(order.index(one) < order.index(other) for one, other in arrows)
    assert sum(path.startswith("bridge/") for path in FILES.values()) == 13
    for _, path in FILE.findall(PAGE):
        assert f"`{path}`" in PAGE or f"`{Path(path).name}`" in PAGE or f"`{'/'.join(Path(path).parts[-2:])}`" in PAGE
