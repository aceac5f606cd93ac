"""The official MLS vectors, and the runner's own manners."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from protocol.mls import Extension, ExtensionType, Group, external_proposal, join_proposal
from protocol.mls.plan import external_psk
from protocol.mls.proposals import AppDataUpdate
from protocol.mls.view import ExternalSender, encode_external_senders
from tests.unit.mls.support import NOW, new_bundle, new_group, new_identity, stage
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


def transcript(suite):
    """What a passive member sees: a Welcome with a PSK, a hub's proposal, a stranger's request, an external join."""
    hub, alice, bob, carol, dave = (new_identity(name, suite=suite) for name in ("hub", "a", "b", "c", "d"))
    senders = encode_external_senders([ExternalSender(hub.public, hub.credential)])
    group = new_group(alice, extensions=(Extension(ExtensionType.EXTERNAL_SENDERS, senders),))
    psks, bundle = {b"door": b"key" * 9}, new_bundle(bob)
    ids = [external_psk(b"door", os.urandom, group.view.suite.hash_size)]
    staged = stage(group, add=[bundle.message], psk_ids=ids, psks=psks)
    group.merge(staged)
    case = {
        "cipher_suite": suite,
        "key_package": bundle.message.hex(),
        "init_priv": bundle.init_private.hex(),
        "encryption_priv": bundle.leaf_private.hex(),
        "signature_priv": bob._private.hex(),
        "welcome": staged.welcome.hex(),
        "ratchet_tree": None,
        "initial_epoch_authenticator": group.epoch_authenticator.hex(),
        "external_psks": [{"psk_id": b"door".hex(), "psk": psks[b"door"].hex()}],
        "epochs": [],
    }

    def epoch(proposals, commit):
        seen = {"proposals": [proposal.hex() for proposal in proposals], "commit": commit.hex()}
        case["epochs"].append({**seen, "epoch_authenticator": group.epoch_authenticator.hex()})

    place = {"group_id": group.group_id, "epoch": group.epoch}
    proposals = [
        external_proposal(hub, 0, AppDataUpdate(0x8001, b"topic"), **place),
        join_proposal(carol, new_bundle(carol), **place),
    ]
    for proposal in proposals:
        group.process(proposal, now=NOW)
    staged = stage(group, private=True)
    group.merge(staged)
    epoch(proposals, staged.commit)
    joined = Group.join_external(dave, group.group_info(random=os.urandom), now=NOW, random=os.urandom)
    group.process(joined.commit, now=NOW)
    epoch([], joined.commit)
    return case


@pytest.mark.parametrize("name", ["external_join", "external_proposals", "passive-client-of-ours"])
def test_a_transcript_of_our_own_passes_and_a_bent_one_does_not(tmp_path, name):
    cases = [transcript(1), transcript(7)]
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(cases))
    assert mls.run_file(path)[1:4] == (2, 0, 0)
    cases[0]["epochs"][1]["epoch_authenticator"] = "00" * 32
    cases[1]["epochs"][0]["proposals"].pop()
    path.write_text(json.dumps(cases))
    assert mls.run_file(path)[1:4] == (0, 2, 0)


def test_a_wrong_case_fails_and_says_so(tmp_path, capsys):
    (tmp_path / "deserialization.json").write_text(
        json.dumps([{"vlbytes_header": "05", "length": 5}, {"vlbytes_header": "05", "length": 6}])
    )
    assert mls.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == "deserialization 1 1 0\n"


def test_leaves_that_deny_their_own_suite_are_skipped_with_the_reason(tmp_path):
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
