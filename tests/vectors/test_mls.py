"""The official MLS vectors, and the runner's own manners."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.vectors import mls

_FOLDER = Path(os.environ.get("RIALTO_VECTORS", "")) / "mls"
_FILES = sorted(_FOLDER.glob("*.json")) if "RIALTO_VECTORS" in os.environ else []


@pytest.mark.skipif(not _FILES, reason="RIALTO_VECTORS names no folder that holds mls/*.json")
@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_every_case_passes_or_is_of_a_suite_we_do_not_speak(path):
    cases = json.loads(path.read_text())
    score = mls.run_file(path)
    assert score.failed == 0, score.remarks
    assert score.skipped == sum(case.get("cipher_suite") in (4, 6) for case in cases)
    assert score.passed == len(cases) - score.skipped


def test_a_wrong_case_fails_and_says_so(tmp_path, capsys):
    (tmp_path / "deserialization.json").write_text(
        json.dumps([{"vlbytes_header": "05", "length": 5}, {"vlbytes_header": "05", "length": 6}])
    )
    assert mls.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == "deserialization 1 1 0\n"


def test_leaves_that_deny_their_own_suite_are_skipped_with_the_reason(tmp_path):
    from tests.unit.mls.support import NOW, new_bundle, new_identity

    identity = new_identity("bob", suite=7, suites=(1, 2, 3))
    bundle = new_bundle(identity, now=NOW)
    case = {"cipher_suite": 7, "key_package": bundle.message.hex()}
    (tmp_path / "application.json").write_text(json.dumps([case]))
    score = mls.run_file(tmp_path / "application.json")
    assert (score.passed, score.failed, score.skipped) == (0, 0, 1)
    assert "capabilities" in next(iter(score.remarks))


def test_a_folder_without_known_vectors_is_an_error(tmp_path, capsys):
    (tmp_path / "unknown.json").write_text("[]")
    assert mls.main([str(tmp_path)]) == 2
    assert mls.main([]) == 2
    assert "no known vectors" in capsys.readouterr().err
