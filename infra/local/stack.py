"""The whole system on one machine: services, migrations, the Procfile and the simulator."""

import fcntl
import json
import os
import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from infra.local.child import Child, answers_http, free_ports, is_free
from infra.local.environment import (
    DEMO_EMAIL,
    STATE,
    Ports,
    child_environment,
    embedded,
    kept_secrets,
    made_secrets,
    shared_part,
    write_private,
)
from infra.local.postgres import postgres
from infra.local.redis import redis
from infra.local.services import aws
from infra.local.supervisor import NotReady, Stopped, Supervisor
from infra.settings import Settings, load_settings

READY_SECONDS = 120


class Refused(Exception):
    """The stack cannot start here; the text says why, and nothing was started."""


@dataclass(frozen=True)
class Stack:
    """What will run: its environment, its ports and the Procfile's lines."""

    root: Path
    environment: dict[str, str]
    settings: Settings
    ports: Ports
    embedded: frozenset[str]
    procfile: dict[str, str]
    has_demo: bool

    @property
    def state(self) -> Path:
        return self.root / STATE

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports.web}"

    def services(self) -> list[Child]:
        """The embedded ones, which everything else needs."""
        settings, ports = self.settings, self.ports
        made = {
            "postgres": postgres(self.state / "pg", ports.postgres, durable=True),
            "redis": redis(self.state / "redis", ports.redis, durable=True),
            "aws": aws(
                self.state / "s3",
                ports.aws,
                region=settings.aws_region,
                bucket=settings.s3_bucket,
                visibility_timeout_seconds=settings.visibility_timeout_seconds,
            ),
        }
        return [child for name, child in made.items() if name in self.embedded]

    def steps(self) -> list[Child]:
        """What runs once, to its end, before the rest."""
        lines = {"release": self.procfile["release"]} if "release" in self.procfile else {}
        if self.has_demo:
            lines["demo-data"] = "huntaze demo-data"
        return [self._process(name, line, None) for name, line in lines.items()]

    def processes(self) -> list[Child]:
        """The simulator and the Procfile's processes, each with a port for what it tells."""
        lines = {name: line for name, line in self.procfile.items() if name != "release"}
        ports = free_ports(len(lines), self.ports.web, self.ports.simulator)
        children = [
            self._process(name, line, self.ports.web if name == "web" else port)
            for (name, line), port in zip(lines.items(), ports, strict=True)
        ]
        if "simulator" in self.embedded:
            # Kept, so that a restarted platform neither forgets keys nor gives an id twice.
            ledger = shlex.quote(str(self.state / "simulator.jsonl"))
            line = (
                f"huntaze simulator --port {self.ports.simulator} --ledger {ledger}"
                f" --webhook-url {self.address}/api/webhooks/onlyfans"
            )
            if self.has_demo:
                line += " --demo --answers"
            children.insert(0, self._process("simulator", line, self.ports.simulator))
        return children

    def _process(self, name: str, line: str, port: int | None) -> Child:
        environment = dict(self.environment)
        answers = {"web": "/health", "simulator": "/"}.get(name)
        if port is None:
            return Child(name, ("/bin/sh", "-c", f"exec {line}"), environment)
        if answers is None:
            environment["METRICS_PORT"] = str(port)
            return Child(name, ("/bin/sh", "-c", f"exec {line}"), environment, port)
        return Child(
            name,
            ("/bin/sh", "-c", f"exec {line}"),
            environment,
            port,
            is_ready=lambda: answers_http(port, answers),
        )


def check_settings(given: Mapping[str, str]) -> None:
    """Raises SettingsError for what a child would refuse; looks at nothing but `given`."""
    load_settings(child_environment(given, made_secrets(), Ports(8000, 1, 2, 3, 4)))


def planned(root: Path, given: Mapping[str, str], procfile: Path, *, has_demo: bool) -> Stack:
    """Decide everything, start nothing; raises SettingsError or Refused."""
    kept = kept_secrets(root / STATE)
    web = web_port(given)
    ports = Ports(web, *free_ports(4, web))
    environment = child_environment(given, kept, ports)
    return Stack(
        root=root,
        environment=environment,
        settings=load_settings(environment),
        ports=ports,
        embedded=embedded(given),
        procfile=read_procfile(procfile),
        has_demo=has_demo,
    )


def web_port(given: Mapping[str, str]) -> int:
    """PORT when it is set, else 8000 when it is free, else any; raises Refused for a taken PORT."""
    if is_free(port := int(given.get("PORT") or 8000)):
        return port
    if given.get("PORT"):
        raise Refused(f"PORT: {port} is taken by another program; choose another one or unset PORT")
    return free_ports(1)[0]


def read_procfile(file: Path) -> dict[str, str]:
    """Process name -> command line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    named = [line.partition(":") for line in lines if line.strip() and not line.startswith("#")]
    return {name.strip(): command.strip() for name, _, command in named}


class OneRun:
    """The lock of a checkout, held as a block: one stack at a time, and the file says whose."""

    def __init__(self, root: Path) -> None:
        (root / STATE).mkdir(mode=0o700, exist_ok=True)
        self._file: IO[str] = (root / STATE / "lock").open("a+", encoding="utf-8")

    def __enter__(self) -> Self:
        """Raises Refused naming who runs already. Others only look for an instant: try again."""
        for _ in range(10):
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            time.sleep(0.02)
        self._file.seek(0)
        who = json.loads(self._file.read() or "{}")
        self._file.close()
        raise Refused(
            f"Huntaze already runs in this checkout: pid {who.get('pid', 'unknown')},"
            f" {who.get('address', 'still starting')}"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write("")
        self._file.close()

    def tell(self, address: str) -> None:
        self._write(json.dumps({"pid": os.getpid(), "address": address}))

    def _write(self, text: str) -> None:
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()


def run(stack: Stack) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code. The caller holds the lock."""
    write_private(stack.state / "env.json", shared_part(stack.environment))
    began = time.monotonic()
    with Supervisor(stack.state) as supervisor:
        try:
            supervisor.start(stack.services())
            supervisor.wait_until_ready(READY_SECONDS)
            for step in stack.steps():
                supervisor.run_once(step)
            supervisor.start(stack.processes())
            supervisor.wait_until_ready(READY_SECONDS)
            supervisor.say(greeting(stack, time.monotonic() - began))
            supervisor.serve()
        except Stopped:
            pass
        except NotReady as problem:
            supervisor.say(f"Huntaze cannot run: {problem}")
            return 1
        finally:
            (stack.state / "env.json").unlink(missing_ok=True)
        supervisor.say("Ending; a second Ctrl-C hurries.")
    return 0


def greeting(stack: Stack, seconds: float) -> str:
    """What one needs to begin: where, who, and a line that sends a message."""
    password = stack.environment["DEMO_PASSWORD"]
    api, form = f"{stack.address}/api", "-H 'Content-Type: application/json'"
    login = json.dumps({"email": DEMO_EMAIL, "password": password})
    token = (
        f"curl -s {api}/auth/login {form} -d {shlex.quote(login)}"
        """ | python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])'"""
    )
    message = json.dumps({"recipientId": "fan_1", "content": "Hello"})
    send = (
        f'curl -s {api}/onlyfans/messages/send {form} -H "Authorization: Bearer $({token})"'
        f" -d {shlex.quote(message)}"
    )
    lines = ["", f"Huntaze is ready ({seconds:.1f} s): {stack.address}"]
    if stack.ports.web != 8000 and not os.environ.get("PORT"):
        lines.append(f"  (8000 is taken by another program, so this is port {stack.ports.web})")
    lines.append(f"  login      {DEMO_EMAIL}  {password}")
    if "simulator" in stack.embedded:
        lines.append(f"  platform   simulated, http://127.0.0.1:{stack.ports.simulator}")
    lines += [f"  logs       {stack.state / 'logs'}", "  send       " + send]
    return "\n".join([*lines, "Ctrl-C ends it.", ""])
