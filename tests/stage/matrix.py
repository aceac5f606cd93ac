"""A person on Matrix: a real matrix-nio client on the real Synapse."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import nio

from tests.stage.person import Did, Noticed, Person


class MatrixPerson(Person):
    """Holds an access token, joins every room it is invited to, and shows what arrives by /sync."""

    def __init__(self, name: str, url: str, user: str, device: str, token: str) -> None:
        super().__init__(name)
        self.client = nio.AsyncClient(url, user, config=nio.AsyncClientConfig(encryption_enabled=False))
        self.client.restore_login(user, device, token)
        self.rooms: set[str] = set()
        self._direct: dict[str, str] = {}
        self._echoes: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def arrive(self) -> None:
        """Show one's name, and start to sync."""
        await self.client.set_displayname(self.name)
        await self.client.sync(timeout=0, full_state=True)
        self.client.add_event_callback(self._on_invite, nio.InviteMemberEvent)
        self.client.add_event_callback(self._on_event, nio.Event)
        self.client.add_ephemeral_callback(self._on_ephemeral, nio.EphemeralEvent)
        whole = {"room": {"timeline": {"limit": 10_000}}}  # else a busy room is shown with gaps
        syncing = self.client.sync_forever(timeout=30_000, sync_filter=whole, set_presence="offline")
        self._task = asyncio.create_task(syncing)

    async def rest(self) -> None:
        """Stop to sync: go on speaking without listening."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def leave(self) -> None:
        """Stop and close."""
        await self.rest()
        await self.client.close()

    async def join(self, room: str) -> str:
        """Join a room by id or alias; return its id."""
        joined = await self.client.join(room)
        assert isinstance(joined, nio.JoinResponse), joined
        self.rooms.add(joined.room_id)
        return str(joined.room_id)

    async def _room(self, to: str) -> str:
        """The room in which ``to`` is spoken with: itself if it is one, else the direct room, made if need be."""
        if to.startswith("!"):
            return to
        if to not in self._direct:
            made = await self.client.room_create(
                is_direct=True, invite=[to], preset=nio.RoomPreset.trusted_private_chat
            )
            assert isinstance(made, nio.RoomCreateResponse), made
            self._direct[to] = made.room_id
        return self._direct[to]

    async def _send(self, to: str, kind: str, content: dict[str, Any], tx_id: str | None = None) -> str:
        sent = await self.client.room_send(await self._room(to), kind, content, tx_id=tx_id)
        assert isinstance(sent, nio.RoomSendResponse), sent
        return str(sent.event_id)

    async def say(self, to: str, text: str, *, reply_to: str = "", tx_id: str | None = None) -> str:
        """Send an m.text; with a ``tx_id``, the same message again is the same event."""
        content: dict[str, Any] = {"msgtype": "m.text", "body": text}
        if reply_to:
            content["m.relates_to"] = {"m.in_reply_to": {"event_id": reply_to}}
        self.known[text] = event = await self._send(to, "m.room.message", content, tx_id)
        return event

    async def react(self, to: str, target: str, emoji: str) -> None:
        """Annotate, or redact the annotation."""
        if not emoji:
            await self.delete(to, self._echoes[target])
            return
        relation = {"rel_type": "m.annotation", "event_id": target, "key": emoji}
        self._echoes[target] = await self._send(to, "m.reaction", {"m.relates_to": relation})

    async def edit(self, to: str, target: str, text: str) -> None:
        """Replace."""
        new = {"msgtype": "m.text", "body": text}
        relation = {"rel_type": "m.replace", "event_id": target}
        await self._send(
            to, "m.room.message", {**new, "body": f"* {text}", "m.new_content": new, "m.relates_to": relation}
        )

    async def delete(self, to: str, target: str) -> None:
        """Redact."""
        done = await self.client.room_redact(await self._room(to), target)
        assert isinstance(done, nio.RoomRedactResponse), done

    async def send_file(self, to: str, name: str, mime: str, data: bytes) -> str:
        """Upload and send."""
        uploaded, _ = await self.client.upload(io.BytesIO(data), content_type=mime, filename=name, filesize=len(data))
        assert isinstance(uploaded, nio.UploadResponse), uploaded
        kind = "m.image" if mime.startswith("image/") else "m.file"
        info = {"mimetype": mime, "size": len(data)}
        content = {"msgtype": kind, "body": name, "filename": name, "url": uploaded.content_uri, "info": info}
        self.known[name] = event = await self._send(to, "m.room.message", content)
        return event

    async def share(self, to: str, uri: str) -> str:
        """Send an m.location."""
        content = {"msgtype": "m.location", "body": f"Location was shared at {uri}", "geo_uri": uri}
        self.known[uri] = event = await self._send(to, "m.room.message", content)
        return event

    async def type(self, to: str, active: bool) -> None:
        """Show typing."""
        await self.client.room_typing(await self._room(to), active)

    async def read(self, to: str, target: str) -> None:
        """Send m.read."""
        await self.client.update_receipt_marker(await self._room(to), target)

    # --- what the client shows ---

    async def _on_invite(self, room: nio.MatrixInvitedRoom, event: nio.InviteMemberEvent) -> None:
        if event.state_key == self.client.user_id and event.membership == "invite":
            await self.client.join(room.room_id)
            self._direct.setdefault(event.sender, room.room_id)

    async def _on_event(self, room: nio.MatrixRoom, event: nio.Event) -> None:
        if event.sender == self.client.user_id:
            return
        if thing := await self._read_event(room, event.source):
            await self.notice(thing)

    async def _read_event(self, room: nio.MatrixRoom, source: dict[str, Any]) -> Noticed | None:
        content, sender = source["content"], self.name_of(source["sender"])
        if sender == source["sender"]:  # an occupant of a chat room has only a nickname
            sender = room.user_name(sender) or sender
        place = room.room_id if room.room_id in self.rooms else ""
        relation = content.get("m.relates_to") or {}

        def seen(did: Did, text: str = "", target: str = "", data: bytes = b"") -> Noticed:
            return Noticed(did, sender, text, source["event_id"], target, data, place)

        if source["type"] == "m.reaction":
            return seen(Did.REACT, relation.get("key", ""), relation.get("event_id", ""))
        if source["type"] == "m.room.redaction":
            return seen(Did.DELETE, target=content.get("redacts") or source.get("redacts", ""))
        if source["type"] != "m.room.message":
            return None
        if relation.get("rel_type") == "m.replace":
            return seen(Did.EDIT, content["m.new_content"]["body"], relation["event_id"])
        if content.get("msgtype") == "m.notice":
            return seen(Did.ERROR, content["body"], relation.get("m.in_reply_to", {}).get("event_id", ""))
        if "url" in content:
            got = await self.client.download(content["url"])
            assert isinstance(got, nio.DownloadResponse | nio.MemoryDownloadResponse), got
            return seen(Did.FILE, content.get("filename") or content["body"], data=got.body)
        return seen(Did.SAY, content.get("body", ""), relation.get("m.in_reply_to", {}).get("event_id", ""))

    async def _on_ephemeral(self, _room: nio.MatrixRoom, event: nio.EphemeralEvent) -> None:
        if isinstance(event, nio.TypingNoticeEvent):
            for user in event.users:
                if user != self.client.user_id:
                    await self.notice(Noticed(Did.TYPING, self.name_of(user)))
        elif isinstance(event, nio.ReceiptEvent):
            for receipt in event.receipts:
                if receipt.user_id != self.client.user_id:
                    await self.notice(Noticed(Did.READ, self.name_of(receipt.user_id), target=receipt.event_id))
