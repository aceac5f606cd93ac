"""Our side as a program: the line protocol as another implementation meets it."""

from __future__ import annotations

import re

import pytest

from tests.interop import peer
from tests.interop.lines import OPERATIONS, Refused
from tests.interop.ours import OurDesk
from tests.interop.process import Inside
from tests.interop.world import MLSRS, OURS, TSMLS, World


@pytest.mark.parametrize("other", [OURS, TSMLS, MLSRS])
def test_the_program_lives_with_every_implementation(program, peers, other):
    """A whole conversation, our side on the other end of a pipe."""
    world = World({"piped": program, other: peers[other]})
    host = world.create("piped")
    [guest] = world.invite(host, other)
    world.say(host, b"from the pipe")
    world.say(guest, b"into the pipe")
    [second] = world.invite(guest, "piped")
    world.propose(second, "update")
    world.commit(guest)
    world.commit(second, remove=[guest])
    world.enter(host, world.newcomer("piped"))
    world.agree_on_exports()


def test_every_operation_is_documented_and_there():
    documented = re.findall(
        r"^``(\w+)``", peer.__doc__.partition("request (besides")[2].partition("A question mark")[0], re.MULTILINE
    )
    assert documented == list(OPERATIONS)
    assert all(callable(getattr(OurDesk, name)) for name in OPERATIONS)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"op": "dance"}',
        '{"op": "_client"}',
        '{"op": "__init__"}',
        '{"op": ["state"]}',
        '{"op": "state"}',
        '{"op": "state", "member": "nobody"}',
        '{"op": "state", "member": 7}',
        '{"op": "keypackage", "member": "anna", "suite": "one"}',
        '{"op": "keypackage", "member": "anna", "suite": true}',
        '{"op": "create", "member": "anna", "group": "zz"}',
        '{"op": "create", "member": "anna", "group": "00", "context": {"x": "00"}}',
        '{"op": "create", "member": "anna", "group": "00", "context": {"1": 5}}',
        '{"op": "commit", "member": "anna", "remove": ["1"]}',
        '{"op": "commit", "member": "anna", "add": [1]}',
    ],
)
def test_a_line_that_is_no_request_is_answered_with_an_error(program, line):
    program.write(line)
    with pytest.raises(Refused) as caught:
        program.receive()
    assert caught.value.code == "request"
    assert program.ask("keypackage", member="bert")["key_package"].startswith("00010005")


def test_what_mls_refuses_comes_back_with_its_code(program):
    for request, code in (
        ({"op": "keypackage", "member": "anna", "suite": 4}, "mls.unsupported"),
        ({"op": "create", "member": "anna", "group": "00"}, None),
        ({"op": "remove", "member": "anna", "leaf": 5}, "mls.proposal"),
        ({"op": "process", "member": "anna", "message": "0001"}, "mls.length"),
        ({"op": "join", "member": "anna", "welcome": "00010003"}, "mls.length"),
        ({"op": "commit", "member": "anna", "psk": ["00"]}, "mls.psk"),
        ({"op": "forget", "member": "anna"}, None),
        ({"op": "state", "member": "anna"}, "request"),
    ):
        program.send(**request)
        assert program.outcome().get("error") == code, request


def test_a_refused_operation_changes_nothing(peers):
    ours = Inside(OurDesk())
    world = World({OURS: ours, MLSRS: peers[MLSRS]})
    host = world.create(OURS)
    world.invite(host, MLSRS)
    before = host.ask("state")
    for op, fields in (("commit", {"remove": [9]}), ("commit", {"add": ["00"]}), ("process", {"message": "00"})):
        with pytest.raises(Refused):
            host.ask(op, **fields)
    assert host.ask("state") == before
    world.commit(host)


def test_a_program_that_died_is_not_waited_for(program):
    program._process.kill()
    with pytest.raises(AssertionError, match="ended with status -9"):
        program.outcome()
