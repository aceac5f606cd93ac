"""A real PostgreSQL on loopback, in a folder of its own, for what is promised on both engines.

``RIALTO_POSTGRES`` may name a server that runs already, as a URL of SQLAlchemy (``postgresql+psycopg://...``); else one
is started. Each test is given a schema of its own. Needs the Debian package ``postgresql``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from bridge.storage import open_engine
from tests.servers.ports import free_ports

USER = "postgres"  # Debian's package makes it; the server refuses to run as root


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running server."""
    if server := os.environ.get("RIALTO_POSTGRES"):
        yield server
        return
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql), and RIALTO_POSTGRES names no server")
    # Not pytest's folder, which only root could enter.
    with tempfile.TemporaryDirectory(prefix="rialto-postgres-", ignore_cleanup_errors=True) as folder:
        user = USER if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        (port,) = free_ports(1)
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        data = Path(folder) / "data"

        def run(program: str, *words: str) -> None:
            command = [str(programs / program), "-D", str(data), *words]
            done = subprocess.run(command, user=user, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
            assert not done.returncode, f"{program}: {done.stdout.decode()}{done.stderr.decode()}"

        run("initdb", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--no-sync")
        run("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", settings)
        try:
            yield f"postgresql+psycopg://{USER}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """A schema of the test's own."""
    schema = f"rialto_{uuid.uuid4().hex}"
    engine = open_engine(postgres)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = make_url(postgres).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


def _programs() -> Path | None:
    """Return the folder of the newest version's programs, which Debian keeps out of the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    found = versions[-1] if versions else shutil.which("initdb")
    return Path(found).parent if found else None
