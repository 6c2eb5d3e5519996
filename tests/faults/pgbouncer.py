"""A PgBouncer that pools by transaction: one statement after another of a client may run on another connection."""

import os
import pwd
import shutil
from pathlib import Path

import psycopg

from tests.faults.processes import Processes

CONNECTIONS = 3


def start_pgbouncer(processes: Processes, *, folder: Path, owner: pwd.struct_passwd | None) -> str:
    """In front of the PostgreSQL whose socket lies in `folder`. Returns the URL of its database by this way."""
    own = folder / "pgbouncer"
    own.mkdir()
    configuration = own / "pgbouncer.ini"
    configuration.write_text(f"""
[databases]
postgres = host={folder} port=5432 user=hopla
[pgbouncer]
unix_socket_dir = {own}
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = {CONNECTIONS}
max_client_conn = 500
""")
    if owner:
        os.chown(own, owner.pw_uid, owner.pw_gid)
    process = processes.start("pgbouncer", [shutil.which("pgbouncer"), configuration], cwd=own, user=owner)
    processes.wait_until((own / ".s.PGSQL.5432").exists, child=process)
    return f"postgres://hopla@/{own}/postgres"


def connections_used(url: str) -> int:
    """How many connections to PostgreSQL it has opened for the database by now."""
    folder = url.partition("hopla@/")[2].rpartition("/")[0]
    with psycopg.connect(host=folder, user="hopla", dbname="pgbouncer", autocommit=True) as console:
        console.prepare_threshold = None
        rows = psycopg.ClientCursor(console).execute("SHOW SERVERS").fetchall()
    return sum(row[2] == "postgres" for row in rows)
