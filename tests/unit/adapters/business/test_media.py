"""Files on their way: whole or not there, and gone when their time is over."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.business.errors import MediaRefused
from adapters.business.files import RULES, File, FileKind, check, kind_of, size_limit
from adapters.business.media import MediaStore, derived_id

ROSE = b"a rose by any other name" * 10_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


async def _chunks(body: bytes = ROSE, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]
    if breaks:
        raise ConnectionResetError("the sender is gone")


async def _keep(store: MediaStore, lifetime: int = 1000, media_id: str = "") -> File:
    incoming = await store.receive(_chunks(), 1 << 20)
    return await store.keep(incoming, mime="image/png", owner="1001", lifetime=lifetime, media_id=media_id)


async def test_a_file_is_kept_whole_also_over_a_restart(tmp_path: Path) -> None:
    file = await _keep(MediaStore(tmp_path, Clock()))
    again = MediaStore(tmp_path, Clock())
    assert again.get(file.id) == file
    assert b"".join([chunk async for chunk in again.read(file)]) == ROSE
    assert (file.size, file.sha256) == (len(ROSE), hashlib.sha256(ROSE).hexdigest())
    assert file.id.isdigit()


async def test_a_file_that_is_too_large_or_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, Clock())
    with pytest.raises(MediaRefused):
        await store.receive(_chunks(), len(ROSE) - 1)
    with pytest.raises(ConnectionResetError):
        await store.receive(_chunks(breaks=True), 1 << 20)
    assert list(tmp_path.iterdir()) == []


async def test_what_a_crash_left_half_is_swept_away(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, Clock())
    await store.receive(_chunks(), 1 << 20)  # and then the power went
    MediaStore(tmp_path, Clock())
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_gone_when_its_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    store = MediaStore(tmp_path, clock)
    file = await _keep(store)
    clock.now += 1000
    assert store.get(file.id) is None
    store.sweep()
    assert list(tmp_path.iterdir()) == []


async def test_old_files_are_swept_as_new_ones_come(tmp_path: Path) -> None:
    clock = Clock()
    store = MediaStore(tmp_path, clock)
    old = await _keep(store)
    clock.now += 3_700_000
    new = await _keep(store)
    assert {path.name for path in tmp_path.iterdir()} == {new.id, f"{new.id}.json"}
    assert old.id != new.id


async def test_a_deleted_file_is_gone(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, Clock())
    file = await _keep(store)
    store.delete(file)
    assert store.get(file.id) is None
    with pytest.raises(FileNotFoundError):
        [chunk async for chunk in store.read(file)]


async def test_the_file_of_a_delivery_has_the_same_id_at_every_attempt(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, Clock())
    file = await _keep(store, media_id=derived_id("key-1"))
    assert file.id == derived_id("key-1") != derived_id("key-2")
    assert store.get(derived_id("key-1")) == file


@pytest.mark.parametrize("name", ["", "../secret", "1/../2", "1.json", "\x00", "1" * 33, "\u0661"])
def test_only_digits_name_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    assert MediaStore(tmp_path / "media", Clock()).get(name) is None


@pytest.mark.parametrize("kind", FileKind)
def test_a_kind_takes_its_types_up_to_its_size(kind: FileKind) -> None:
    rule = RULES[kind]
    for mime in rule.types or {"application/zip"}:
        check(kind, f"{mime.upper()}; x=y", rule.max_size)
        assert size_limit(mime) == rule.max_size
        with pytest.raises(MediaRefused):
            check(kind, mime, rule.max_size + 1)
    if rule.types:
        with pytest.raises(MediaRefused):
            check(kind, "application/zip", 1)


@pytest.mark.parametrize(
    ("mime", "kind"),
    [("image/gif", "image"), ("Video/MP4", "video"), ("audio/ogg; codecs=opus", "audio"), ("", "document")],
)
def test_a_customers_file_is_shown_whatever_it_is(mime: str, kind: str) -> None:
    assert kind_of(mime) == kind
