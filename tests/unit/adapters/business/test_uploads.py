"""An upload's multipart body, however a program has made it."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.business.errors import BadParameter
from adapters.business.files import File
from adapters.business.media import MediaStore
from adapters.business.uploads import Upload

WHATSAPP = (b'name="messaging_product"', b"whatsapp")


async def uploaded(folder: Path, *parts: tuple[bytes, bytes]) -> File | BadParameter:
    """What becomes of a body of these parts: the rest of their Content-Disposition, and what is in them."""
    media = MediaStore(folder, lambda: 0)
    found: list[File | BadParameter] = []

    async def upload(request: web.Request) -> web.Response:
        try:
            found.append(await Upload(media, "1001", 100).read(request))
        except BadParameter as error:
            found.append(error)
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/", upload)])
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + h + b"\r\n\r\n" + text + b"\r\n" for h, text in parts)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as http,
        http.post(server.make_url("/"), data=body + b"--b--\r\n", headers=headers) as answer,
    ):
        assert answer.status == 200
    return found[0]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'name="file"; filename="rose.png"', "rose.png"),
        (b"name=\"file\"; filename*=utf-8''r%C3%B6se.png", "röse.png"),
        (b'name="file"; filename="r\xf6se.png"', "r�se.png"),  # as a program writes it that knows Latin-1 only
        (b'name="file"', ""),
    ],
)
async def test_a_file_keeps_its_name(tmp_path: Path, disposition: bytes, name: str) -> None:
    file = await uploaded(tmp_path, WHATSAPP, (disposition, b"bytes"))
    assert isinstance(file, File)
    assert (file.name, file.size) == (name, 5)
    assert MediaStore(tmp_path, lambda: 0).get(file.id) == file


@pytest.mark.parametrize(
    "parts",
    [(), (WHATSAPP,), ((b'name="file"', b"bytes"),), (WHATSAPP, (b'name="file"', b"1"), (b'name="file"', b"2"))],
    ids=["nothing", "no file", "no product", "two files"],
)
async def test_what_is_no_upload_leaves_nothing_behind(tmp_path: Path, parts: tuple[tuple[bytes, bytes], ...]) -> None:
    assert isinstance(await uploaded(tmp_path, *parts), BadParameter)
    assert not list(tmp_path.iterdir())
