"""Every command and every environment variable that a document or a template names exists."""

import importlib.util
import re
from pathlib import Path

import click
import pytest
import yaml

from cli.main import COMMANDS, huntaze
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MACHINES = [
    ROOT / name for name in ("Procfile", "docker-compose.yml", "Dockerfile", "deploy/huntaze.yaml")
]
SETTINGS = {name.upper() for name in Settings.model_fields}
# Of others: Python, moto, the images, the tools of tests.
FOREIGN = {
    "AWS_DEFAULT_REGION",
    "DEMO_PASSWORD",
    "MOTO_DISABLE_GLOBAL_CORS",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "POSTGRES_USER",
    "PROMETHEUS_MULTIPROC_DIR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
}
# NAME=value or a code span of a whole NAME with an underscore; what else is written so is below.
NAMED = re.compile(r"(?:^|[\s`\"'{])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?=[`=: ]|$)", re.MULTILINE)
WORDS = {
    "AWS_REFUSED",
    "CAPABILITY_IAM",
}


def code(path: Path) -> str:
    """What a document writes as code."""
    text = path.read_text()
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def lines(path: Path, word: str) -> list[str]:
    return re.findall(
        rf"(?:^|[\s`/]){word} ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", code(path), re.MULTILINE
    )


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_commands_in_documents_exist(path: Path) -> None:
    context = click.Context(huntaze)
    for words in lines(path, "huntaze"):
        name, *rest = words.split(" ")
        if name == "command":  # "the huntaze command"
            continue
        assert name in COMMANDS, f"huntaze {words}"
        command = huntaze.get_command(context, name)
        if isinstance(command, click.Group) and rest:
            assert rest[0] in command.commands, f"huntaze {words}"


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_targets_of_make_in_documents_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {words.split(" ")[0] for words in lines(path, "make")}

    assert named <= targets


@pytest.mark.parametrize("path", [*PROSE, *MACHINES], ids=lambda path: path.name)
def test_modules_that_are_run_exist(path: Path) -> None:
    text = path.read_text()
    for module in re.findall(r"python[\w]*,? -m,? ([a-z][\w.]*)", text):
        assert importlib.util.find_spec(module.rstrip(".")), module


def known(name: str) -> bool:
    return name in SETTINGS | FOREIGN


def test_environments_of_compose_and_the_template_are_settings() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    template = yaml.safe_load((ROOT / "deploy/huntaze.yaml").read_text())
    named = {name for one in compose["services"].values() for name in one.get("environment", {})}
    for one in template["Resources"].values():
        for container in one["Properties"].get("ContainerDefinitions", ()):
            named |= {given["Name"] for given in (*container["Environment"], *container["Secrets"])}

    assert {name for name in named if not known(name)} == set()
    assert {"DATABASE_URL", "REDIS_ENDPOINT", "SQS_RATE_LIMITER_QUEUE_URL"} <= named


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "docs/operations.md"], ids=lambda path: path.name
)
def test_settings_in_documents_exist(path: Path) -> None:
    named = set(NAMED.findall(code(path)))

    assert {name for name in named if not known(name)} <= WORDS


def test_compose_runs_each_process_of_the_procfile_as_it_is() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, command = line.split(": ", 1)
        assert services[name]["command"] == command.replace('"', "").split(" ")
    assert {"postgres", "redis", "aws", "platform"} <= services.keys()


def test_what_documents_call_a_test_is_one() -> None:
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    tests = " ".join(re.findall(r"^def (test_\w+)", "\n".join(files.values()), re.MULTILINE))
    for path in PROSE:
        for name in re.findall(r"`(?:tests/[a-z_/0-9]*)?(test_\w+\.py)`", path.read_text()):
            assert name in files, f"{path.name}: {name}"
    threats = re.findall(r"^\|.*\|(.*)\|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    words = re.findall(r"`([a-z0-9_]+)`", "\n".join(threats))
    assert len(words) > 20
    assert [word for word in words if word not in tests] == []
