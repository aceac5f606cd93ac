"""Where the peers part from RFC 9420 or stop short: each test tells that it is still so, and what ours makes of it."""

from __future__ import annotations

import os

import pytest

from protocol.leg import LegClass
from protocol.mls import Identity, RequiredCapabilities, external_proposal
from protocol.mls.extensions import ExtensionType
from protocol.mls.proposals import Remove
from protocol.mls.view import ExternalSender, encode_external_senders
from tests.interop.lines import Refused
from tests.interop.world import MLSRS, OURS, TSMLS


def test_ts_mls_writes_the_external_key_without_its_length(world):
    """``external_pub`` is an HPKEPublicKey, hence a vector (RFC 9420 §5.1.1 and §12.4.3.2); the driver mends it."""
    host = world.create(TSMLS)
    bare = host.ask("state", group_info=True, bare=True)["group_info"]
    with pytest.raises(Refused) as caught:
        world.newcomer(OURS).ask("external_join", group_info=bare)
    assert caught.value.code in {"mls.decode", "mls.length"}
    world.enter(host, world.newcomer(OURS))


def test_ts_mls_joins_no_tree_with_unmerged_leaves(world):
    """It wants all nodes above a leaf to have the same unmerged leaves; RFC 9420 §7.9 wants no such thing."""
    host = world.create(OURS)
    world.invite(host, *[OURS] * 6)
    for member in list(world.members):
        world.commit(member)
    world.invite(host, OURS)
    world.commit(host)
    late = world.newcomer(TSMLS)
    made = host.ask("commit", add=[world.key_package(late)])
    with pytest.raises(Refused) as caught:
        late.ask("join", welcome=made["welcome"])
    assert "must list leaf node in its unmerged_leaves" in caught.value.text
    world.invite(host, MLSRS, OURS)


def test_ts_mls_does_not_notice_that_it_was_removed_if_its_leaf_is_taken_at_once(world):
    host = world.create(OURS)
    [gone] = world.invite(host, TSMLS)
    newcomer = world.newcomer(OURS)
    made = host.ask("commit", remove=[gone.leaf], add=[world.key_package(newcomer)])
    with pytest.raises(Refused) as caught:
        gone.ask("process", message=made["commit"])
    assert "No overlap between provided private keys and update path" in caught.value.text
    world.members.remove(gone)
    world.accept(host, made, [newcomer], [])


def test_mls_rs_lets_a_removed_member_commit_where_nobody_follows(world):
    host = world.create(OURS)
    [gone] = world.invite(host, MLSRS)
    made = host.ask("commit", remove=[gone.leaf])
    world.deliver(made["commit"], world.members)
    world.members.remove(gone)
    stray = gone.ask("commit")["commit"]
    with pytest.raises(Refused) as caught:
        host.ask("process", message=stray)
    assert caught.value.code == "mls.wrong-epoch"


def test_ts_mls_derives_one_secret_too_many_where_half_of_the_tree_is_empty(world):
    """The root is then not in the filtered direct path, whose last secret gives the commit secret (RFC 9420 §7.4)."""
    host = world.create(OURS)
    gone, peer, author = world.invite(host, OURS, TSMLS, OURS)
    made = author.ask("commit", remove=[host.leaf, gone.leaf])
    with pytest.raises(Refused) as caught:
        peer.ask("process", message=made["commit"])
    assert "confirmation tag" in caught.value.text


@pytest.mark.parametrize("author", [OURS, MLSRS])
def test_mls_rs_and_ours_agree_where_half_of_the_tree_is_empty(world, author):
    host = world.create(OURS)
    gone, *_ = world.invite(host, OURS, MLSRS, OURS)
    [author] = [member for member in world.of(author) if member.leaf > 1]
    world.commit(author, remove=[host, gone])
    for member in world.members:
        world.commit(member)
        world.say(member, b"only the right half")


def test_ts_mls_commits_new_extensions_in_a_way_that_cannot_be_followed(world):
    """They call for a path (RFC 9420 §17.4), and it is sealed in the context of the new ones (RFC 9420 §12.4.1)."""
    author = world.create(TSMLS)
    [guest] = world.invite(author, OURS)
    wish = [[3, RequiredCapabilities().encode().hex()]]
    for code in ("mls.path-required", "mls.decryption"):
        made = author.ask("commit", extensions=wish)
        with pytest.raises(Refused) as caught:
            guest.ask("process", message=made["commit"])
        assert caught.value.code == code
        world.propose(guest, "update")  # makes ts-mls add a path


@pytest.fixture
def hub():
    """A service outside the group, and the extension by which a group takes its proposals."""
    identity = Identity.generate("hub", leg=LegClass.OPERATOR, random=os.urandom)
    data = encode_external_senders([ExternalSender(identity.public, identity.credential)])
    return identity, [int(ExtensionType.EXTERNAL_SENDERS), data.hex()]


def test_ts_mls_reads_one_external_sender_where_a_list_of_them_stands(world, hub):
    """The extension is a vector of senders (RFC 9420 §12.1.8.1): a group that has it keeps ts-mls out."""
    host = world.create(OURS)
    [guest] = world.invite(host, TSMLS)
    made = host.ask("commit", extensions=[hub[1]])
    with pytest.raises(Refused) as caught:
        guest.ask("process", message=made["commit"])
    assert "external_senders" in caught.value.text


def test_mls_rs_takes_an_external_sender_but_its_wheel_breaks_on_what_it_proposes(world, hub):
    identity, extension = hub
    host = world.create(OURS)
    [guest] = world.invite(host, MLSRS)
    world.commit(host, extensions=[extension])
    world.commit(guest)
    group, epoch = f"room of {host.name}".encode(), world.epoch()
    asked = external_proposal(identity, 0, Remove(guest.leaf), group_id=group, epoch=epoch).hex()
    assert host.ask("process", message=asked)["kind"] == "proposal"
    with pytest.raises(Refused) as caught:
        guest.ask("process", message=asked)
    assert caught.value.code == "mls-rs.panic"


def test_the_wheel_of_mls_rs_breaks_on_one_who_knocks(world):
    """It panics when it shall describe the proposal, and that member is lost with it."""
    host = world.create(OURS)
    [guest] = world.invite(host, MLSRS)
    asked = world.newcomer(OURS).ask("knock", group_info=host.ask("state", group_info=True)["group_info"])
    with pytest.raises(Refused) as caught:
        guest.ask("process", message=asked["proposal"])
    assert caught.value.code == "mls-rs.panic"


UNSUPPORTED = {
    TSMLS: [("update", {}), ("commit", {"path": True})],
    MLSRS: [
        ("update", {}),
        ("external_join", {"group_info": "00"}),
        ("psk", {"id": "00", "secret": "00"}),
        ("knock", {"group_info": "00"}),
        ("reinit", {"group": "00", "suite": 1}),
        ("restart", {"key_packages": []}),
        ("branch", {"group": "00", "key_packages": []}),
        ("commit", {"private": True}),
        ("commit", {"psk": ["00"]}),
        ("commit", {"resume": [0]}),
        ("commit", {"extensions": [[3, "00"]]}),
        ("commit", {"path": True}),
        ("encrypt", {"data": "", "authenticated_data": "00"}),
        ("state", {"group_info": True}),
    ],
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_a_peer_cannot_do_it_says(world, kind):
    member = world.create(kind)
    for op, fields in UNSUPPORTED[kind]:
        with pytest.raises(Refused) as caught:
            member.ask(op, **fields)
        assert caught.value.code == "unsupported", op
