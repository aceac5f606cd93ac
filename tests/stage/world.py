"""The whole world on loopback: Prosody, Synapse, a shop's bot, and Rialto between them.

::

    async with World(folder) as world:              # servers up, Rialto ready
        juliet, romeo = await world.juliet(), await world.romeo()
        ...
        world.rialto.kill(); world.rialto.start()   # an accident

Everything lies in one folder and on free ports, and ends with the ``async with``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from adapters.matrix.config import MatrixConfig
from adapters.matrix.names import Names
from adapters.matrix.registration import registration
from adapters.xmpp.names import ghost_jid
from protocol.uri import Address
from tests.servers.ports import free_ports
from tests.servers.prosody import COMPONENT, Prosody
from tests.servers.pywa_bot import PywaBot
from tests.servers.recorder import Recorder
from tests.servers.synapse import Synapse, User
from tests.stage.matrix import MatrixPerson
from tests.stage.person import Person
from tests.stage.xmpp import XmppPerson

REPOSITORY = Path(__file__).resolve().parents[2]
ENDPOINTS = ("xmpp", "matrix", "business")
SHOP = Address("business", "shop")
AS_TOKEN, HS_TOKEN = "as-token-of-a-test", "hs-token-of-a-test"
APP_SECRET, API_TOKEN = "app-secret-of-a-test", "api-token-of-a-test"
PHONE_ID, WABA_ID, APP_ID = "1001", "2001", "3001"

_CONFIG = """\
domain = "bridge.test"
data = "data"

[router]
listen = "127.0.0.1:{router}"

[http]
listen = "127.0.0.1:{http}"

[log]
level = "info"
format = "json"

[endpoint.xmpp]
router = "http://127.0.0.1:{router_link}"
health = "127.0.0.1:{xmpp_health}"

[endpoint.xmpp.account]
component = "{component}"
port = {component_port}
secret = "{component_secret}"
media_hosts = ["localhost", "127.0.0.1"]

[endpoint.matrix]
router = "http://127.0.0.1:{router_link}"
health = "127.0.0.1:{matrix_health}"
listen = "127.0.0.1:{matrix}"

[endpoint.matrix.account]
homeserver = "{homeserver}"
server_name = "hs.test"
url = "http://127.0.0.1:{matrix}"
as_token = "{as_token}"
hs_token = "{hs_token}"

[endpoint.business]
router = "http://127.0.0.1:{router_link}"
health = "127.0.0.1:{business_health}"
listen = "127.0.0.1:{business}"

[endpoint.business.account]
waba_id = "{waba_id}"
app_id = "{app_id}"
public_url = "http://127.0.0.1:{business}"
media_folder = "media"
app_secret = "{app_secret}"
access_token = "{api_token}"

[[endpoint.business.account.numbers]]
shop = "shop"
phone_number_id = "{phone_id}"
display_phone_number = "4930123456"
verified_name = "Shop"

[[endpoint.business.account.templates]]
name = "reminder"
language = "en_US"
body = "Remember: {{{{1}}}} wait for you."
buttons = [{{ text = "I come" }}, {{ text = "Keep them" }}]
{rooms}
"""

_VERONA = """
[[room]]
id = "verona"
name = "Verona"
members = { xmpp = "verona@muc.xmpp.test", matrix = "#rialto_verona:hs.test" }
"""


class Rialto:
    """The daemon's processes: one with everything, or a router and an endpoint each in one of its own."""

    def __init__(self, config: Path, health: dict[str, int], *, separate: bool) -> None:
        self.config, self.health = config, health
        self.commands = [["router"], *(["endpoint", name] for name in ENDPOINTS)] if separate else [["run"]]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *words: str) -> list[str]:
        """Return the command line of ``rialto`` with these words."""
        return [sys.executable, "-m", "bridge.cli", *words, "--config", str(self.config)]

    def start(self, patience: float = 120.0) -> float:
        """Start what does not run, wait until all of it is ready, and return the seconds that took."""
        began = time.monotonic()
        for words in self.commands:
            name = words[-1]
            if name in self.processes and self.processes[name].poll() is None:
                continue
            with (self.config.parent / f"rialto-{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(*words), cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        for name, port in self.health.items():
            self._wait(name, port, began + patience)
        return time.monotonic() - began

    def _wait(self, name: str, port: int, deadline: float) -> None:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                    if answer.status == 200:
                        return
                    said = ""
            except urllib.error.HTTPError as error:
                with error:
                    said = error.read().decode(errors="replace")
            except OSError as error:
                said = str(error)
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"Rialto's {ended or name} is not ready: {said}\n{self.last_words()}")
            time.sleep(0.02)

    def last_words(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.config.parent.glob("rialto-*.log"))
        )

    def kill(self, *names: str) -> None:
        """End these processes (all if none is named) as a power cut would."""
        for name, process in self.processes.items():
            if not names or name in names:
                process.kill()
                process.wait()

    def stop(self) -> None:
        """Ask all processes to end, and wait."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def memory(self) -> dict[str, float]:
        """Return each process's resident set, in MiB."""
        page = os.sysconf("SC_PAGE_SIZE") / 2**20
        return {
            name: int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * page
            for name, process in self.processes.items()
            if process.poll() is None
        }


class World:
    """Servers, Rialto and people. ``separate`` runs Rialto's parts as processes; ``recorded`` keeps their traffic."""

    def __init__(
        self, folder: Path, *, separate: bool = False, recorded: bool = False, shop: bool = True, verona: bool = True
    ) -> None:
        self.folder = folder
        self.separate, self.recorded, self.with_shop, self.verona = separate, recorded, shop, verona
        self.traffic = folder / "router-traffic.bin"
        self.config = folder / "rialto.toml"
        self.people: dict[str, Person] = {}
        self.ready_after = 0.0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._rise()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _rise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        names = ["router", "router_link", "http", "matrix", "business", *(f"{name}_health" for name in ENDPOINTS)]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.prosody = Prosody(self.folder / "prosody")
        self._stack.callback(self.prosody.stop)
        self.synapse = Synapse(services=(self._registration(),))
        self._stack.callback(self.synapse.close)
        await asyncio.gather(asyncio.to_thread(self.prosody.start), asyncio.to_thread(self.synapse.start))
        self._configure()
        if self.recorded:
            recorder = Recorder(self.ports["router_link"], self.ports["router"], self.traffic)
            await recorder.start()
            self._stack.push_async_callback(recorder.stop)
        health = {name: self.ports[f"{name}_health"] for name in ENDPOINTS}
        self.rialto = Rialto(
            self.config, health if self.separate else {"run": self.ports["http"]}, separate=self.separate
        )
        self._stack.callback(self.rialto.stop)
        self.ready_after = await asyncio.to_thread(self.rialto.start)
        if self.with_shop:
            await asyncio.to_thread(self._open_shop)

    def _configure(self) -> None:
        ports = dict(self.ports)
        if not self.recorded:
            ports["router_link"] = ports["router"]
        text = _CONFIG.format(
            **ports,
            component=COMPONENT,
            component_port=self.prosody.ports.component,
            component_secret=self.prosody.secret,
            homeserver=self.synapse.url,
            as_token=AS_TOKEN,
            hs_token=HS_TOKEN,
            phone_id=PHONE_ID,
            waba_id=WABA_ID,
            app_id=APP_ID,
            app_secret=APP_SECRET,
            api_token=API_TOKEN,
            rooms=_VERONA if self.verona else "",
        )
        self.config.write_text(text)
        command = [sys.executable, "-m", "bridge.cli", "init", "--keys-only", "--config", str(self.config)]
        subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)

    def _registration(self) -> str:
        return registration(
            MatrixConfig(
                homeserver="http://127.0.0.1",
                server_name="hs.test",
                url=f"http://127.0.0.1:{self.ports['matrix']}",
                as_token=AS_TOKEN,
                hs_token=HS_TOKEN,
            )
        )

    def _open_shop(self) -> None:
        self.bot = PywaBot(
            f"http://127.0.0.1:{self.ports['business']}",
            phone_id=PHONE_ID,
            waba_id=WABA_ID,
            app_id=APP_ID,
            app_secret=APP_SECRET,
            token=API_TOKEN,
            folder=self.folder,
        )
        self._stack.callback(self.bot.stop)
        self.bot.start()
        self.bot.wait_until_ready()

    # --- people ---

    async def xmpp_person(self, name: str) -> XmppPerson:
        """Make somebody with an account on Prosody and sign them in."""
        jid = self.prosody.register(name.lower(), f"pw{name}")
        person = XmppPerson(name, jid, f"pw{name}", self.prosody.ports.client)
        await person.arrive()
        self._stack.push_async_callback(person.leave)
        return self._introduce(person)

    async def matrix_person(self, name: str) -> MatrixPerson:
        """Make somebody with an account on Synapse and sign them in."""
        user: User = await asyncio.to_thread(self.synapse.register, name.lower())
        person = MatrixPerson(name, self.synapse.url, user.id, user.device, user.token)
        await person.arrive()
        self._stack.push_async_callback(person.leave)
        return self._introduce(person)

    async def enter_verona(self) -> dict[str, str]:
        """Let everybody enter the plumbed room; return what each of them calls it."""
        called = {}
        for name, person in self.people.items():
            if isinstance(person, XmppPerson):
                await person.join("verona@muc.xmpp.test")
                called[name] = "verona@muc.xmpp.test"
            else:
                assert isinstance(person, MatrixPerson)
                called[name] = await person.join("#rialto_verona:hs.test")
        return called

    def _introduce(self, person: XmppPerson | MatrixPerson) -> XmppPerson | MatrixPerson:
        """Let everybody know how everybody else is called on their own network."""
        self.people[person.name] = person
        for one in self.people.values():
            for other in self.people.values():
                if one is not other:
                    one.addresses[other.name] = _known_as(self._address(other), one)
            one.addresses["Shop"] = _known_as(SHOP, one)
        return person

    @staticmethod
    def _address(person: Person) -> Address:
        if isinstance(person, XmppPerson):
            return Address("xmpp", person.jid)
        assert isinstance(person, MatrixPerson)
        return Address("matrix", person.client.user_id)


def _known_as(address: Address, viewer: Person) -> str:
    """Return what the viewer's client calls the person of this address."""
    if isinstance(viewer, XmppPerson):
        return address.id if address.network == "xmpp" else ghost_jid(address, COMPONENT)
    return address.id if address.network == "matrix" else Names("hs.test", "rialto_", "rialto").ghost(address)
