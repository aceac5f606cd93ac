"""References to standards have one form, and none names a section that is not there."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((ROOT / "specs" / "sections.toml").read_text(encoding="utf-8"))
STANDARD = re.compile(r"RFC \d+|XEP-\d{4}|mimi-[a-z]+|mls-[a-z]+")
NUMBER = re.compile(r"§(\d+(?:\.\d+)*)")
OTHER_FORM = re.compile(r"\b[Ss]ections? \d")
PAGES = sorted(
    path
    for folder in ("adapters", "bridge", "protocol", "specs", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".md", ".cddl"} and path != Path(__file__) and "node_modules" not in path.parts
)


def references(text: str) -> Iterator[tuple[str, str]]:
    """Every section that a text names, with the standard that was named last before it."""
    standards = [(found.start(), found.group()) for found in STANDARD.finditer(text)]
    for found in NUMBER.finditer(text):
        before = [name for start, name in standards if start < found.start()]
        yield (before[-1] if before else ""), found.group(1)


def there_is(standard: str, number: str) -> bool:
    sections: list[str] = TABLE["sections"].get(standard, [])
    return any(section == number or section.startswith(f"{number}.") for section in sections)


def test_the_table_tells_what_is_there_from_what_is_not() -> None:
    assert there_is("RFC 9420", "12.4.3.2")
    assert there_is("RFC 9420", "12.4")
    assert not there_is("RFC 9420", "12.4.4")
    assert not there_is("RFC 9420", "1")  # not "12": a section is no prefix of another's number
    assert not there_is("RFC 9999", "1")


def test_a_list_of_sections_belongs_to_the_standard_before_it() -> None:
    text = "as RFC 9420 §7.9.2 and §12.4.3.1 say, and XEP-0308 §4"
    assert list(references(text)) == [("RFC 9420", "7.9.2"), ("RFC 9420", "12.4.3.1"), ("XEP-0308", "4")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_refers_to_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    missing = [f"{standard} §{number}" for standard, number in references(text) if not there_is(standard, number)]
    assert not missing, "look it up, then add it to specs/sections.toml"
    assert not OTHER_FORM.search(text), "a section is named as in `RFC 9420 §7.3`"
