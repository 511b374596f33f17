"""The dashboard draws only what the processes tell."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import api.metrics
import infra.bus.broker
import infra.journal
import infra.metrics
from domain.alarms import RULES

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana.json").read_text())
TOLD_BY = (api.metrics, infra.bus.broker, infra.journal, infra.metrics)
WORDS = re.compile(r"\b((?:OnlyFans|huntaze_)\w+)")


def told() -> set[str]:
    """The names of samples, with what a histogram and a counter add to theirs."""
    assert TOLD_BY
    return {
        name + ending
        for one in REGISTRY.collect()
        for name in [one.name]
        for ending in {"counter": ["_total"], "histogram": ["_bucket", "_count"]}.get(
            one.type, [""]
        )
    }


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_every_series_of_a_panel_exists(panel: dict) -> None:
    names = {name for one in panel["targets"] for name in WORDS.findall(one["expr"])}
    assert names
    assert names <= told()


def test_every_alarm_has_its_line() -> None:
    drawn = " ".join(panel["description"] for panel in DASHBOARD["panels"])
    assert [rule.name for rule in RULES if rule.name not in drawn] == []


def test_every_alarm_has_its_section_of_the_run_book() -> None:
    book = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    [section] = re.findall(r"^## Alarms\n(.*?)^## ", book, re.DOTALL | re.MULTILINE)
    assert re.findall(r"^### (\S+)$", section, re.MULTILINE) == [rule.name for rule in RULES]


def test_panels_do_not_cover_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
