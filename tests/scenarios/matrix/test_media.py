"""Files both ways, through the homeserver's media repository."""

from __future__ import annotations

import base64
import io
import os

import nio
import pytest

from adapters.contract import Direct, Media, Message, Permanent, Profile, Reason, Retry
from protocol.content import Disposition, ExternalPart, MultiPart, Semantics, text
from protocol.uri import Address
from tests.scenarios.matrix.conftest import Enter
from tests.scenarios.matrix.host import Host
from tests.scenarios.matrix.person import Person

pytestmark = pytest.mark.servers

JULIET = Profile(Address("xmpp", "juliet@xmpp.test"), "Juliet")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fcffff3f030005fe02fe"
    "a7d6059b0000000049454e44ae426082"
)


def with_(person: Person) -> Direct:
    return Direct(Address("matrix", person.id), JULIET.address)


async def fetched(host: Host, part: ExternalPart) -> bytes:
    assert isinstance(host.adapter, Media)
    return b"".join([chunk async for chunk in host.adapter.fetch(part)])


async def test_an_image_with_a_caption_from_juliet(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    host.files["portrait"] = PIXEL
    image = ExternalPart(content_type="image/png", url="portrait", filename="juliet.png")
    for part in (image, MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(image, text("It is *me*")))):
        await host.say(with_(romeo), JULIET, Message(part))
    await romeo.invited()
    plain, captioned = [(await romeo.next())[1]["content"] for _ in range(2)]
    assert (plain["msgtype"], plain["body"], plain["filename"]) == ("m.image", "juliet.png", "juliet.png")
    assert plain["info"] == {"mimetype": "image/png", "size": len(PIXEL)}
    assert (captioned["body"], captioned["filename"]) == ("It is *me*", "juliet.png")
    answer = await romeo.client.download(plain["url"])
    assert isinstance(answer, nio.MemoryDownloadResponse)
    assert answer.body == PIXEL


async def test_a_large_file_from_romeo(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await host.say(with_(romeo), JULIET, "Send it me")
    room = await romeo.invited()
    content = os.urandom(3 << 20)
    answer, _ = await romeo.client.upload(io.BytesIO(content), "application/pdf", filesize=len(content))
    assert isinstance(answer, nio.UploadResponse)
    info = {"mimetype": "application/pdf", "size": len(content)}
    file = {"msgtype": "m.file", "body": "sonnet.pdf", "url": answer.content_uri, "info": info}
    await romeo.send(room, file)
    await romeo.send(room, file | {"filename": "sonnet.pdf", "body": "read this"})

    part = (await host.heard()).message.part
    assert part == ExternalPart(
        disposition=Disposition.ATTACHMENT,
        content_type="application/pdf",
        url=answer.content_uri,
        size=len(content),
        filename="sonnet.pdf",
    )
    assert await fetched(host, part) == content
    captioned = (await host.heard()).message.part
    assert captioned == MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(part, text("read this")))


async def test_what_is_gone_cannot_be_fetched(host: Host) -> None:
    for url in ("mxc://hs.test/nothingHere", "https://hs.test/x", "mxc://hs.test"):
        with pytest.raises(Permanent) as gone:
            await fetched(host, ExternalPart(content_type="image/png", url=url))
        assert gone.value.reason == Reason.MEDIA_UNREACHABLE


async def test_what_is_too_large_is_not_sent(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    rule = (await host.adapter.capabilities(with_(romeo))).send.file("text/csv")
    assert rule.max_size == 50 << 20, "as the homeserver says"
    host.files["big"] = bytes((50 << 20) + 1)
    with pytest.raises(Permanent) as large:
        await host.say(with_(romeo), JULIET, Message(ExternalPart(content_type="text/csv", url="big")))
    assert large.value.reason == Reason.MEDIA_TOO_LARGE


async def test_an_attachment_that_cannot_be_read_is_what_the_host_says_it_is(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")

    async def unreachable(part: ExternalPart):
        yield b"some"
        raise Retry("the router is away")

    host._open = unreachable
    with pytest.raises(Retry, match="router is away"):
        await host.say(with_(romeo), JULIET, Message(ExternalPart(content_type="text/csv", url="x")))


async def test_an_avatar_is_shown(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    picture = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    nurse = Profile(Address("xmpp", "nurse@xmpp.test"), "Nurse", picture)
    await host.say(Direct(Address("matrix", romeo.id), nurse.address), nurse, "Look")
    ghost = "@rialto_xmpp_nurse=40xmpp.test:hs.test"
    answer = await romeo.client.get_profile(ghost)
    assert answer.displayname == "Nurse"
    assert answer.avatar_url.startswith("mxc://hs.test/")
