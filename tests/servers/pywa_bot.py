"""A shop's bot: an unmodified pywa client in a process of its own, with its own webhook server.

::

    with PywaBot("http://127.0.0.1:8445", phone_id="1001", waba_id="2001", app_id="3001",
                 app_secret="...", token="...") as bot:
        bot.wait_until_ready()           # its callback is registered and verified
        ...                              # bot.events(): what it saw and did, one record for each

It marks every message as read, shows that it types, and answers a text by quoting it, a file by saying what it got. A
few texts it answers by asking in turn, with buttons, a list, a template or for a location (``_asking``), and what is
chosen it names by its id. All it knows of the bridge is the address that its HTTP client is led to. Needs
``pywa[server]``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.ports import free_ports

REPLY = "You said: {text}"
FILE_REPLY = "Thank you, {name}! We have your {kind} of {size} octets."
CHOICE_REPLY = "You chose {title}, which is {data}"
PLACE_REPLY = "You are at {latitude:.4f}, {longitude:.4f}"
DELIVERY_REPLY = "We deliver to {latitude:.4f}, {longitude:.4f}"


class PywaBotError(Exception):
    """The bot did not start; the message has its last words."""


class PywaBot:
    """The bot's process. ``folder`` takes its log, if given."""

    def __init__(
        self,
        api: str,
        *,
        phone_id: str,
        waba_id: str,
        app_id: str,
        app_secret: str,
        token: str,
        folder: Path | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_ports(1)[0]
        self.process: subprocess.Popen[str] | None = None
        self._arguments = [
            *("--api", api, "--port", str(self.port)),
            *("--phone-id", phone_id, "--waba-id", waba_id, "--app-id", app_id),
        ]
        self._secrets = {"PYWA_BOT_TOKEN": token, "PYWA_BOT_APP_SECRET": app_secret}
        self._log = folder / "pywa-bot.log" if folder else None
        self._events: list[dict[str, Any]] = []
        self._news = threading.Condition()

    def start(self) -> None:
        """Start the process."""
        log = self._log.open("ab") if self._log else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.pywa_bot", *self._arguments],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **self._secrets},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        if not isinstance(log, int):
            log.close()
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        """End the process; nothing if it does not run."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wait_until_ready(self, timeout: float = 20.0) -> None:
        """Return when its callback is registered."""
        self.wait_for("ready", timeout=timeout)

    def wait_for(self, event: str, *, count: int = 1, timeout: float = 20.0, **fields: object) -> dict[str, Any]:
        """Return the ``count``-th record of this kind with these fields, when it is there."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                found = [
                    each
                    for each in self._events
                    if each["event"] == event and all(each.get(key) == value for key, value in fields.items())
                ]
                if len(found) >= count:
                    return found[count - 1]
                alive = self.process is not None and self.process.poll() is None
                if not alive or not self._news.wait(deadline - time.monotonic()):
                    raise PywaBotError(f"no '{event}' {fields or ''} came from the bot; it said {self._events[-5:]}")

    def events(self) -> Sequence[dict[str, Any]]:
        """Return what it has seen and done so far."""
        with self._news:
            return tuple(self._events)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _listen(self) -> None:
        process = self.process
        assert process is not None and process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._news:
                    self._events.append(json.loads(line))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()


# --- the process itself -----------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the bot until it is told to stop."""
    import httpx
    import pywa
    import uvicorn
    from pywa import filters, types
    from starlette.applications import Starlette

    from adapters.business.pywa import transport

    options = _options(arguments)
    app = Starlette()
    callback = f"http://127.0.0.1:{options.port}"
    shop = pywa.WhatsApp(
        phone_id=options.phone_id,
        token=os.environ["PYWA_BOT_TOKEN"],
        waba_id=options.waba_id,
        app_id=options.app_id,
        app_secret=os.environ["PYWA_BOT_APP_SECRET"],
        verify_token="shop-of-verona",
        server=app,
        session=httpx.Client(transport=transport(options.api), timeout=60),
        callback_url=callback,
        webhook_challenge_delay=1,
    )

    asking = _asking()

    @shop.on_message(filters.text)
    def answer(_: pywa.WhatsApp, message: types.Message) -> None:
        if ask := asking.get(message.text or ""):
            _say(event="asked", id=ask(message).id, to=message.id)
            return
        name = message.from_user.name or "dear customer"
        _say(event="message", id=message.id, user=message.from_user.username, name=name, text=message.text)
        message.indicate_typing()
        sent = message.reply_text(REPLY.format(name=name, text=message.text), quote=True)
        _say(event="answered", id=sent.id, to=message.id)

    @shop.on_message(filters.media)
    def thank(_: pywa.WhatsApp, message: types.Message) -> None:
        name = message.from_user.name or "dear customer"
        body = message.get_media_bytes()
        _say(event="file", id=message.id, user=message.from_user.username, kind=message.type, size=len(body))
        message.indicate_typing()
        sent = message.reply_text(FILE_REPLY.format(name=name, kind=message.type, size=len(body)), quote=True)
        _say(event="answered", id=sent.id, to=message.id)

    @shop.on_message(filters.location)
    def locate(_: pywa.WhatsApp, message: types.Message) -> None:
        place, asked = message.location, message.reply_to_message
        assert place is not None
        _say(event="location", id=message.id, asked=asked.id if asked else "")
        words = DELIVERY_REPLY if asked else PLACE_REPLY
        message.reply_text(words.format(latitude=place.latitude, longitude=place.longitude), quote=True)

    @shop.on_callback_button
    def pressed(_: pywa.WhatsApp, button: types.CallbackButton[Any]) -> None:
        _say(event="pressed", id=button.id, data=button.data, template=button.is_quick_reply)
        button.reply_text(CHOICE_REPLY.format(title=button.title, data=button.data), quote=True)

    @shop.on_callback_selection
    def selected(_: pywa.WhatsApp, row: types.CallbackSelection[Any]) -> None:
        _say(event="selected", id=row.id, data=row.data)
        row.reply_text(CHOICE_REPLY.format(title=row.title, data=row.data), quote=True)

    @shop.on_message(filters.reaction)
    def smile(_: pywa.WhatsApp, message: types.Message) -> None:
        reaction = message.reaction
        assert reaction is not None
        _say(event="reaction", id=message.id, to=reaction.message_id, emoji=reaction.emoji or "")

    @shop.on_message_status
    def status(_: pywa.WhatsApp, news: types.MessageStatus[Any]) -> None:
        _say(event="status", id=news.id, status=str(news.status.value))

    threading.Thread(target=_announce, args=(shop, callback), daemon=True).start()
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


def _asking() -> dict[str, Callable[[Any], Any]]:
    """What the bot answers by asking or telling more, each with how it does."""
    from pywa import types
    from pywa.types import templates

    buttons = [types.Button("Red", "rose-red"), types.Button("White", "rose-white")]
    rows = [types.SectionRow("Ointment", "no-1", "for cuts"), types.SectionRow("Sleeping draught", "no-2")]
    shelf = types.SectionList("Look", [types.Section("On the shelf", rows)])
    friar = types.Contact(
        name=types.Contact.Name("Friar Laurence", first_name="Laurence"),
        phones=[types.Contact.Phone("+39 045 1595", "WORK")],
        org=types.Contact.Org("The Cell"),
    )
    greeting = [templates.BodyText.params("two roses"), templates.QuickReplyButton.params(callback_data="go", index=0)]
    reminder = ("reminder", templates.TemplateLanguage.ENGLISH_US, greeting)
    return {
        "I want a rose": lambda message: message.reply_text("Which rose?", buttons=buttons),
        "What is there?": lambda message: message.reply_text("What shall it be?", buttons=shelf),
        "Can you deliver?": lambda message: message.reply_location_request("Where to?"),
        "Who can help me?": lambda message: message.reply_contact(friar),
        "Remind me": lambda message: message.reply_template(*reminder),
    }


def _announce(shop: Any, callback: str) -> None:
    """Say 'ready' when the API has verified the callback and remembers it."""
    while True:
        registered = shop.get_business_phone_number().webhook_configuration or {}
        if registered.get("application", "").startswith(callback):
            _say(event="ready", callback=callback)
            return
        time.sleep(0.1)


_speaking = threading.Lock()  # pywa works on several messages side by side


def _say(**record: object) -> None:
    with _speaking:
        print(json.dumps(record), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A shop's bot on pywa; secrets come from the environment.")
    for name in ("api", "phone-id", "waba-id", "app-id"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
