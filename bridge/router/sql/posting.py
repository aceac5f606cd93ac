"""Putting commits, Welcomes and farewells into a room's order and into the inboxes of those who are to have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from bridge.router.contract import Kind, Notification
from bridge.router.journal import Fanned, Post
from bridge.router.runs import Runs
from bridge.router.sql.inboxes import Inboxes
from bridge.router.sql.rows import RoomRow, envelope_row, insert_envelopes, last_position


def put_posts(
    connection: Connection,
    runs: Runs,
    row: RoomRow,
    posts: Sequence[Post],
    *,
    sender: str,
    digest: bytes,
    endpoints: Mapping[str, int],
    at: int,
) -> list[Fanned]:
    """Give posts that belong together the room's next place, and return what has to be told once that is durable.

    ``endpoints`` maps URIs to ids. The caller writes the room's row. Who is served no longer gets nothing.
    """
    row.sequence += 1
    position = last_position(connection)
    inboxes = Inboxes(connection, {endpoints[uri] for post in posts for uri in post.recipients})
    fanned: list[Fanned] = []
    for post in posts:
        position += 1
        notification = Notification(
            position=position,
            room=row.uri,
            sequence=row.sequence,
            kind=post.kind,
            epoch=post.epoch,
            sender=sender,
            body=post.body,
            at=at,
            cursor=runs.cursor(position),
        )
        values = envelope_row(row, notification, endpoints[sender], digest if post.kind is Kind.COMMIT else None)
        insert_envelopes.run(connection, [values])
        served = tuple(uri for uri in post.recipients if uri not in row.dismissed)
        for uri in served:
            inboxes.put(endpoints[uri], position, len(post.body))
        fanned.append(Fanned(notification, served))
    inboxes.write()
    return fanned
