"""A real Prosody on loopback, in a folder of its own: for the tests and for the demonstration.

::

    with Prosody(folder) as server:
        server.register("juliet", "capulet")        # juliet@xmpp.test
        ...                                         # clients: 127.0.0.1, server.ports.client, without TLS
        server.kill(); server.start()               # the same ports, the same data

It serves the host ``xmpp.test``, rooms with an archive on ``muc.xmpp.test``, files on ``upload.xmpp.test`` and lets a
component in as ``rialto.xmpp.test``. Needs the Debian packages ``prosody`` and ``prosody-modules``.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers.ports import free_ports

HOST = "xmpp.test"
ROOMS = "muc.xmpp.test"
UPLOAD = "upload.xmpp.test"
COMPONENT = "rialto.xmpp.test"
SECRET = "a-secret-for-tests-only"  # of the component


class ProsodyError(Exception):
    """Prosody is not installed, or does not start; the message says what to do or what it logged."""


@dataclass(frozen=True)
class Ports:
    """Where it listens on 127.0.0.1: clients, components, HTTP uploads."""

    client: int
    component: int
    http: int

    @classmethod
    def free(cls) -> Ports:
        """Choose three that nobody uses."""
        return cls(*free_ports(3))


class Prosody:
    """One server; start, stop and kill it as often as needed, its accounts and archives stay in ``folder``."""

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports | None = None,
        secret: str = SECRET,
        max_file_size: int = 20 * 1024 * 1024,
        extra: str = "",
    ) -> None:
        self.folder = folder
        self.ports = ports or Ports.free()
        self.secret = secret
        self.max_file_size = max_file_size
        self.extra = extra  # more configuration, of further hosts and components
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where it logs to."""
        return self.folder / "prosody.log"

    def start(self, timeout: float = 10.0) -> None:
        """Start it and return when its ports answer, usually after 0.2 s."""
        binary = shutil.which("prosody")
        if binary is None:
            raise ProsodyError("Prosody is missing: apt-get install --no-install-recommends prosody prosody-modules")
        if self.process is not None:
            raise ProsodyError("it runs already")
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        config = self.folder / "prosody.cfg.lua"
        config.write_text(self._config())
        with (self.folder / "prosody.out").open("ab") as out:
            self.process = subprocess.Popen(
                [binary, "-F", "--config", str(config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        deadline = time.monotonic() + timeout
        while not all(_answers(port) for port in (self.ports.client, self.ports.component, self.ports.http)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ProsodyError(f"it does not start: {self._last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end and wait until it has; nothing if it does not run."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self) -> None:
        """End it at once, as a power cut would; nothing if it does not run."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def register(self, user: str, password: str) -> str:
        """Create or change an account, also while it runs; return the address.

        Written straight into its data folder: prosodyctl does the same and takes 0.3 s each.
        """
        accounts = self.folder / "data" / _escape(HOST) / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{_escape(user)}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')
        return f"{user}@{HOST}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _last_words(self) -> str:
        words = [
            path.read_text(errors="replace")[-1500:]
            for path in (self.log, self.folder / "prosody.out")
            if path.exists()
        ]
        return "\n".join(words)

    def _config(self) -> str:
        return _CONFIG.format(
            folder=self.folder,
            client=self.ports.client,
            component=self.ports.component,
            http=self.ports.http,
            secret=self.secret,
            max_file_size=self.max_file_size,
            extra=self.extra,
        )


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _escape(name: str) -> str:
    """Return a name as Prosody writes it in its data folder: everything but letters and digits as %xx."""
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in name)


# No TLS on loopback; no rate limits; rooms and their archives outlive a restart; archives never full (a full one is
# rewritten at every message).
_CONFIG = """\
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
plugin_paths = {{ "/usr/lib/prosody/modules" }}
certificates = "{folder}"
log = {{ info = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {client} }}
component_ports = {{ {component} }}
component_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{ }}
http_ports = {{ {http} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{ }}
http_host = "localhost"
http_external_url = "http://localhost:{http}/"
modules_enabled = {{
  "roster", "saslauth", "disco", "posix", "ping", "version", "time", "pep", "vcard4", "vcard_legacy",
  "carbons", "mam", "smacks", "offline", "blocklist", "bookmarks", "privilege", "csi_simple"
}}
modules_disabled = {{ "s2s", "tls", "limits" }}
c2s_require_encryption = false
s2s_require_encryption = false
allow_unencrypted_plain_auth = true
limits = {{ }}
c2s_stanza_size_limit = 1024 * 1024
component_stanza_size_limit = 4 * 1024 * 1024
smacks_hibernation_time = 5
authentication = "internal_plain"
storage = "internal"
default_archive_policy = true
archive_expires_after = "1d"
storage_archive_item_limit = 1000000

VirtualHost "xmpp.test"
  privileged_entities = {{
    ["rialto.xmpp.test"] = {{
      roster = "both"; message = "outgoing"; presence = "roster";
      iq = {{ ["http://jabber.org/protocol/pubsub"] = "both"; ["urn:xmpp:mam:2"] = "both" }};
    }}
  }}

Component "muc.xmpp.test" "muc"
  modules_enabled = {{ "muc_mam" }}
  restrict_room_creation = false
  muc_room_locking = false
  muc_room_default_public = true
  muc_room_default_persistent = true
  muc_room_default_history_length = 0
  muc_log_expires_after = "1d"
  max_archive_query_results = 1000

Component "upload.xmpp.test" "http_file_share"
  http_file_share_size_limit = {max_file_size}
  http_file_share_daily_quota = 10 * 1024 * 1024 * 1024
  http_file_share_access = {{ "xmpp.test", "rialto.xmpp.test" }}
  http_external_url = "http://localhost:{http}/"

Component "rialto.xmpp.test"
  component_secret = "{secret}"
  modules_enabled = {{ "privilege" }}

{extra}
"""


@pytest.fixture(scope="session")
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosody]:
    """One running server for all the tests that do not stop it; give your people names of their own."""
    if shutil.which("prosody") is None:
        pytest.skip("Prosody is not installed (Debian packages prosody and prosody-modules)")
    with Prosody(tmp_path_factory.mktemp("prosody")) as server:
        yield server


@pytest.fixture
def own_prosody(tmp_path: Path) -> Iterator[Prosody]:
    """A running server of the test's own, which it may stop, kill and start again."""
    if shutil.which("prosody") is None:
        pytest.skip("Prosody is not installed (Debian packages prosody and prosody-modules)")
    with Prosody(tmp_path / "prosody") as server:
        yield server
