"""The component's stream (XEP-0114): one slixmpp connection that comes back by itself.

A component stream has no acknowledgements. ``confirm`` makes one: behind the stanzas it writes an iq to ourselves,
which the server hands back on the same stream only after it has dealt with everything before; a bounce of a stanza
comes back before it. Stanzas that wait while one such round is under way go together in the next, so one iq confirms
many and a lonely message does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from random import SystemRandom
from secrets import token_urlsafe
from xml.etree.ElementTree import Element

import structlog
from msgspec import Struct
from slixmpp import ComponentXMPP
from slixmpp.stanza import StreamError
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.xmlstream import NotConnectedError

from adapters.contract import Retry, SignedOut
from adapters.xmpp import answering, bounces, xml
from adapters.xmpp.errors import LinkLost

CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 30.0
KEEPALIVE_SECONDS = 60.0
MAX_BATCH_BYTES = 256 * 1024
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0

log = structlog.get_logger("adapters.xmpp.link")
_random = SystemRandom()


class _Asked(Struct, eq=False):
    """An iq that somebody waits to have answered, by the JID that was asked."""

    to: str
    answer: asyncio.Future[Element]


class _Pending(Struct, eq=False):
    """A stanza that somebody waits to have confirmed; ``room``: it goes to a whole room."""

    key: str
    to: str
    room: bool
    text: str
    journalled: bool
    done: asyncio.Future[None]


class Link:
    """One component stream. ``on_stanza`` gets every message, presence and iq that is not an answer to ours.

    ``on_up`` runs after each time that the stream was opened, ``on_down`` after each time that it was lost.
    ``lines`` may give the stanzas to write before, between and after the journalled messages with these keys.
    """

    def __init__(
        self,
        jid: str,
        secret: str,
        host: str,
        port: int,
        *,
        on_stanza: Callable[[Element], None],
        on_up: Callable[[], None],
        on_down: Callable[[], None],
    ) -> None:
        self.jid = jid
        self.lines: Callable[[Sequence[str]], Sequence[Element]] | None = None
        self.refused = ""
        self.since: float | None = None
        self._address = (host, port)
        self._on_stanza, self._on_up, self._on_down = on_stanza, on_up, on_down
        self._xmpp = ComponentXMPP(jid, secret, host, port)  # type: ignore[no-untyped-call]
        self._xmpp.whitespace_keepalive = False
        self._xmpp.add_filter("in", self._incoming)
        self._xmpp.add_event_handler("session_start", self._started)
        self._xmpp.add_event_handler("disconnected", self._ended)
        self._xmpp.add_event_handler("connection_failed", self._failed)
        self._xmpp.add_event_handler("stream_error", self._stream_error)
        self._attempt: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._answers: dict[str, _Asked] = {}
        self._waiting: list[_Pending] = []
        self._batch: dict[str, _Pending] = {}
        self._pong = ""
        self._flushing = False
        self._deadline: asyncio.TimerHandle | None = None

    # --- the connection -------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the stream is open and we are signed in."""
        return self.since is not None

    async def open(self) -> None:
        """Connect for the first time. Raises ``Retry`` or, when the secret is refused, ``SignedOut``."""
        await self._connect()
        self._task = asyncio.create_task(self._stay(), name=f"xmpp link of {self.jid}")

    async def close(self) -> None:
        """End the stream and stay down; what waits for a confirmation raises ``LinkLost``."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._xmpp.cancel_connection_attempt()
        await self._xmpp.disconnect(1.0)
        self._down()
        # slixmpp stops the task behind its send queue only when it is garbage-collected.
        sender = self._xmpp._run_out_filters  # noqa: SLF001
        if sender is not None:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender

    def pause(self) -> None:
        """Take nothing more from the server until ``resume``: what we hold has to be dealt with first."""
        if self._xmpp.transport is not None:
            self._xmpp.transport.pause_reading()

    def resume(self) -> None:
        """Take up reading again."""
        if self._xmpp.transport is not None:
            self._xmpp.transport.resume_reading()

    async def _connect(self) -> None:
        self._attempt = asyncio.get_running_loop().create_future()
        self._lost.clear()
        self._xmpp.connect(*self._address)
        try:
            await asyncio.wait_for(self._attempt, CONNECT_SECONDS)
        except TimeoutError:
            raise Retry(f"the XMPP server at {self._where} does not answer") from None
        except LinkLost as error:
            raise Retry(str(error)) from error
        finally:
            self._attempt = None
            if not self.connected:
                self._xmpp.cancel_connection_attempt()
                self._xmpp.abort()
        log.info("connected", server=self._where, component=self.jid)
        self._on_up()

    async def _stay(self) -> None:
        """Come back whenever the stream is lost, sooner at first and never in step with others."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            await self._lost.wait()
            began = time.monotonic()
            await asyncio.sleep(_random.uniform(pause / 2, pause))
            try:
                await self._connect()
            except (Retry, SignedOut) as error:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                log.warning(
                    "still down", server=self._where, reason=str(error), seconds=round(time.monotonic() - began, 1)
                )
                self._lost.set()
            else:
                pause = FIRST_PAUSE_SECONDS

    @property
    def _where(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    def _started(self, _: object) -> None:
        self.since, self.refused = time.time(), ""
        if self._attempt is not None and not self._attempt.done():
            self._attempt.set_result(None)

    def _failed(self, error: object) -> None:
        self._xmpp.cancel_connection_attempt()  # slixmpp would try again by itself; _stay does that, with jitter
        self._fail_attempt(LinkLost(f"no XMPP server at {self._where}: {error}"))

    def _stream_error(self, error: StreamError) -> None:
        condition, said = str(error["condition"]), str(error["text"])
        log.error("stream error", condition=condition, said=said)
        if condition == "not-authorized":
            self.refused = f"the XMPP server refuses the secret of the component {self.jid}"
            self._fail_attempt(SignedOut(f"{self.refused}: set the same one in both configurations"))
        else:
            self._fail_attempt(LinkLost(f"the XMPP server closed the stream: {condition} {said}".rstrip()))

    def _ended(self, reason: object) -> None:
        if self.connected and not self._closing:
            log.warning("disconnected", server=self._where, reason=str(reason or ""))
        self._fail_attempt(LinkLost(f"the XMPP server closed the stream: {reason}"))
        self._down()

    def _fail_attempt(self, error: Exception) -> None:
        if self._attempt is not None and not self._attempt.done():
            self._attempt.set_exception(error)

    def _down(self) -> None:
        was_up, self.since = self.connected, None
        for answer in self._answers.values():
            if not answer.answer.done():
                answer.answer.set_exception(LinkLost(written=True))
        self._answers.clear()
        written, unwritten = list(self._batch.values()), self._waiting
        self._batch, self._waiting = {}, []
        self._end_round()
        for pending, left in [(each, True) for each in written] + [(each, False) for each in unwritten]:
            if not pending.done.done():
                pending.done.set_exception(LinkLost(written=left))
        self._lost.set()
        if was_up:
            self._on_down()

    # --- out ------------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """Return an id for a stanza that nobody can guess: whoever sees one knows no other."""
        return token_urlsafe(15)

    def post(self, stanza: Element) -> None:
        """Write a stanza that nobody waits for. Raises ``LinkLost`` when the stream is down."""
        self._write(xml.serialise(stanza))

    async def request(self, iq: Element) -> Element:
        """Send an iq and return its result, if it comes from whom it was sent to (RFC 6120 §8.1.2.1).

        Raises ``StanzaError``, or ``LinkLost`` also when no answer comes.
        """
        id_ = self.new_id()
        iq.set("id", id_)
        answer: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._answers[id_] = _Asked(iq.get("to", ""), answer)
        try:
            self.post(iq)
            result = await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise LinkLost(f"no answer from {iq.get('to')}", written=True) from None
        finally:
            self._answers.pop(id_, None)
        if result.get("type") == "error":
            raise bounces.read(result)
        return result

    async def confirm(self, stanza: Element, *, journalled: bool = False) -> None:
        """Send a message and return when the server has dealt with it.

        Raises ``StanzaError`` if it bounced, ``LinkLost`` if the stream broke before the server said so.
        """
        if not self.connected:
            raise LinkLost
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = stanza.get("id", "")
        to, room = stanza.get("to", ""), stanza.get("type") == "groupchat"
        self._waiting.append(_Pending(key, to, room, xml.serialise(stanza), journalled, done))
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)
        await done

    def _flush(self) -> None:
        """Write what waits, with the iq behind it that confirms all of it."""
        batch: list[_Pending] = []
        room = MAX_BATCH_BYTES
        while self._waiting and room > 0:
            pending = self._waiting.pop(0)
            if not pending.done.cancelled():
                batch.append(pending)
                room -= len(pending.text)
        if not batch:
            self._flushing = False
            return
        self._batch = {each.key: each for each in batch}
        self._pong = self.new_id()
        texts = self._with_lines(batch)
        ping = xml.stanza(xml.IQ, type="get", from_=self.jid, to=self.jid, id=self._pong)
        xml.child(ping, xml.PING, "ping")
        texts.append(xml.serialise(ping))
        self._deadline = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._no_pong)
        try:
            self._write("".join(texts))
        except LinkLost:
            self._down()

    def _with_lines(self, batch: Sequence[_Pending]) -> list[str]:
        keys = [each.key for each in batch if each.journalled]
        if self.lines is None or not keys:
            return [each.text for each in batch]
        lines = iter(self.lines(keys))
        texts = [xml.serialise(next(lines))]
        for each in batch:
            texts.append(each.text)
            if each.journalled:
                texts.append(xml.serialise(next(lines)))
        return texts

    def _confirmed(self) -> None:
        batch, self._batch = self._batch, {}
        self._end_round()
        for each in batch.values():
            if not each.done.done():
                each.done.set_result(None)
        if self._waiting:
            self._flushing = True
            self._flush()

    def _end_round(self) -> None:
        self._pong, self._flushing = "", False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _no_pong(self) -> None:
        log.error("the server does not answer", seconds=ANSWER_SECONDS)
        self._xmpp.abort()

    def _write(self, text: str) -> None:
        if not self.connected:
            raise LinkLost
        try:
            self._hurry()
            self._xmpp.send_raw(text)
        except (NotConnectedError, OSError):
            raise LinkLost from None

    def _hurry(self) -> None:
        """Have the kernel acknowledge at once what arrives next.

        A server that leaves Nagle's algorithm on, as Prosody does, holds each further small write back until then: the
        usual delayed acknowledgement would make a confirmation take 40 ms. The option lasts for a few segments only.
        """
        if self._xmpp.socket is not None and hasattr(socket, "TCP_QUICKACK"):
            self._xmpp.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    # --- in -------------------------------------------------------------------------------------------------------

    def _incoming(self, stanza: StanzaBase) -> StanzaBase | None:
        """Take the three stanzas away from slixmpp, which keeps the handshake and stream errors."""
        element: Element = stanza.xml
        if element.tag.rpartition("}")[2] not in {"message", "presence", "iq"}:
            return stanza
        xml.rename(element, xml.COMPONENT, xml.CLIENT)
        if not self._ours(element):
            try:
                self._on_stanza(element)
            except Exception:
                log.exception("a stanza could not be handled", kind=element.tag, sender=element.get("from"))
        return None

    def _ours(self, element: Element) -> bool:
        """Say whether it answers something of ours, and wake who waits for it."""
        id_, kind = element.get("id", ""), element.get("type")
        if element.tag == xml.IQ:
            if id_ == self._pong and element.get("from") == self.jid:
                self._confirmed()
                return True
            if kind in {"result", "error"}:
                self._answered(element)
            return kind in {"result", "error"}
        pending = self._batch.get(id_) if kind == "error" and element.tag == xml.MESSAGE else None
        if pending is None or not answering.may_bounce(element.get("from", ""), pending.to, room=pending.room):
            return False
        if not pending.done.done():
            pending.done.set_exception(bounces.read(element))
        return True

    def _answered(self, element: Element) -> None:
        asked = self._answers.get(element.get("id", ""))
        if asked is None or asked.answer.done():
            return
        if not answering.same(element.get("from") or self.jid, asked.to):
            # An id alone proves nothing: this may be anybody who would like to answer in another's name.
            log.warning("an answer from somebody who was not asked", sender=element.get("from"), asked=asked.to)
            return
        asked.answer.set_result(element)
