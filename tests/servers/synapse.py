"""A real Synapse for tests and the demo: its own folder, free ports on loopback, no outside traffic.

    with Synapse() as synapse:                      # writes its files, starts, waits until it answers
        romeo = synapse.register("romeo")           # a user with an access token
        synapse.serve(registration_yaml)            # restarts it with these application services
        synapse.kill(); synapse.start()             # an outage

Everything here blocks for up to a few seconds: inside an event loop call it through ``asyncio.to_thread``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.servers.ports import free_port

SERVER_NAME = "hs.test"
SHARED_SECRET = "shared-secret-of-a-test"
REPOSITORY = Path(__file__).resolve().parents[2]

_UNLIMITED = "{per_second: 100000, burst_count: 100000}"
_LIMITS = f"""
rc_message: {_UNLIMITED}
rc_registration: {_UNLIMITED}
rc_login: {{address: {_UNLIMITED}, account: {_UNLIMITED}, failed_attempts: {_UNLIMITED}}}
rc_admin_redaction: {_UNLIMITED}
rc_joins: {{local: {_UNLIMITED}, remote: {_UNLIMITED}}}
rc_joins_per_room: {_UNLIMITED}
rc_invites: {{per_room: {_UNLIMITED}, per_user: {_UNLIMITED}, per_issuer: {_UNLIMITED}}}
rc_media_create: {_UNLIMITED}
rc_presence: {{per_user: {_UNLIMITED}}}
rc_delayed_event_mgmt: {_UNLIMITED}
rc_room_creation: {_UNLIMITED}
rc_reports: {_UNLIMITED}
rc_user_directory: {_UNLIMITED}
rc_profile: {_UNLIMITED}
rc_key_requests: {_UNLIMITED}
"""

_CONFIG = """
server_name: {server_name}
pid_file: {folder}/homeserver.pid
public_baseurl: {url}/
report_stats: false
enable_metrics: false
listeners:
  - {{port: {port}, type: http, tls: false, x_forwarded: false, bind_addresses: ["127.0.0.1"],
      resources: [{{names: [client], compress: false}}]}}
database: {{name: sqlite3, args: {{database: {folder}/homeserver.db}}}}
log_config: {folder}/log.yaml
media_store_path: {folder}/media
signing_key_path: {folder}/signing.key
trusted_key_servers: []
federation_domain_whitelist: []
suppress_key_server_warning: true
macaroon_secret_key: macaroon-secret-of-a-test
form_secret: form-secret-of-a-test
registration_shared_secret: {secret}
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
presence: {{enabled: true}}
url_preview_enabled: false
max_upload_size: 50M
allow_guest_access: false
encryption_enabled_by_default_for_room_type: "off"
filter_timeline_limit: 100000
app_service_config_files: {services}
experimental_features:
  msc2409_to_device_messages_enabled: true
  msc3202_transaction_extensions: true
{limits}
"""

_LOGGING = """
version: 1
disable_existing_loggers: false
formatters: {{line: {{format: "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"}}}}
filters: {{context: {{(): synapse.logging.context.LoggingContextFilter, request: ""}}}}
handlers:
  file: {{class: logging.FileHandler, filename: {folder}/homeserver.log, formatter: line, filters: [context]}}
root: {{level: {level}, handlers: [file]}}
"""


@dataclass(frozen=True)
class User:
    """Someone with an account on the server."""

    id: str
    password: str
    device: str
    token: str


def python() -> Path:
    """Where the Python is that has Synapse: ``RIALTO_SYNAPSE``, or the repository's ``.venv/synapse``."""
    return Path(os.environ.get("RIALTO_SYNAPSE") or REPOSITORY / ".venv/synapse/bin/python")


class Synapse:
    """One homeserver, ``hs.test``, in a folder of its own (in memory if the machine has ``/dev/shm``)."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        services: tuple[str, ...] = (),
        limits: str = _LIMITS,
        level: str = "WARNING",
    ) -> None:
        """Write its files; ``services`` are registration files' contents, ``limits`` goes into its own."""
        memory = Path("/dev/shm")
        self._own = folder is None
        parent = memory if os.access(memory, os.W_OK) else None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="rialto-synapse-", dir=parent))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server_name = SERVER_NAME
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        key = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        if not (self.folder / "signing.key").exists():
            (self.folder / "signing.key").write_text(f"ed25519 a_test {key}\n")
        (self.folder / "log.yaml").write_text(_LOGGING.format(folder=self.folder, level=level))
        self._write(services)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # --- its life ---

    def start(self, patience: float = 60.0) -> None:
        """Start the process and wait until it answers, at most ``patience`` seconds."""
        if self.running():
            return
        config = str(self.folder / "homeserver.yaml")
        command = [str(python()), "-m", "synapse.app.homeserver", "--config-path", config]
        environment = os.environ | {"SYNAPSE_ASYNC_IO_REACTOR": "1"}
        with (self.folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        end = time.monotonic() + patience
        while not self._answers():
            if not self.running() or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"Synapse did not start:\n{self.log()}")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Stop it as an operator would, with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start it; users, rooms and media stay, what it held in memory goes."""
        self.stop()
        self.start()

    def serve(self, *services: str) -> None:
        """Restart it with exactly these application services, given as registration files' contents."""
        self.stop()
        self._write(services)
        self.start()

    def close(self) -> None:
        """Stop it and remove its folder, if it made that itself."""
        self.kill()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Give the end of what it has logged (from warnings up, unless told otherwise)."""
        files = (self.folder / "homeserver.log", self.folder / "stderr")
        return "\n".join(f.read_text(errors="replace")[-4000:] for f in files if f.exists())

    # --- its people ---

    def register(self, name: str, password: str = "", *, admin: bool = False) -> User:
        """Make a user ``@name:hs.test`` by the shared secret; the password is ``pw<name>`` unless given."""
        password = password or f"pw{name}"
        path = "/_synapse/admin/v1/register"
        nonce = self._call("GET", path)["nonce"]
        said = "\0".join([nonce, name, password, "admin" if admin else "notadmin"]).encode()
        body = {
            "nonce": nonce,
            "username": name,
            "password": password,
            "admin": admin,
            "mac": hmac.new(SHARED_SECRET.encode(), said, hashlib.sha1).hexdigest(),
        }
        answer = self._call("POST", path, body)
        return User(answer["user_id"], password, answer["device_id"], answer["access_token"])

    # --- inside ---

    def _write(self, services: tuple[str, ...]) -> None:
        paths = []
        for number, content in enumerate(services):
            path = self.folder / f"service-{number}.yaml"
            path.write_text(content)
            paths.append(str(path))
        config = _CONFIG.format(
            server_name=SERVER_NAME,
            folder=self.folder,
            url=self.url,
            port=self.port,
            secret=SHARED_SECRET,
            services=json.dumps(paths),
            limits=self._limits,
        )
        (self.folder / "homeserver.yaml").write_text(config)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            self._call("GET", "/_matrix/client/versions")
        except (OSError, ValueError):
            return False
        return True

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as e:
            with e:
                raise RuntimeError(f"{method} {path}: {e.code} {e.read().decode(errors='replace')}") from None


@pytest.fixture(scope="module")
def synapse() -> Iterator[Synapse]:
    """A running homeserver, one for each module of tests; give it application services with ``serve``."""
    if not python().exists():
        pytest.skip(f"no Synapse at {python()}: run `make setup`, or name its Python in RIALTO_SYNAPSE")
    with Synapse() as server:
        yield server
