"""Debian's pgbouncer in transaction mode, like Neon's pooled hosts, before the tests' server."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import PASSWORD, Server
from tests.waiting import until

# Fewer than the clients, so that one client's transactions meet different server connections.
SERVER_CONNECTIONS = 3


@contextmanager
def pooling(server: Server) -> Iterator[int]:
    """The port that a pgbouncer listens on until the end of the block."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "pgbouncer is not installed: apt-get install pgbouncer"
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        folder = Path(name)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        users = folder / "users"
        users.write_text(f'"todo" "{PASSWORD}"\n')
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"""[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {SERVER_CONNECTIONS}
server_reset_query =
server_round_robin = 1
"""
        )
        # It refuses to run as root, as PostgreSQL does.
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            for path in (folder, users, settings):
                shutil.chown(path, user)
        command = [program, "--quiet", str(settings)]
        with subprocess.Popen(command, user=user, cwd="/") as process:
            try:
                until(lambda: _listens(port) or process.poll() is not None, bool)
                assert process.poll() is None, "pgbouncer ended by itself"
                yield port
            finally:
                process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
