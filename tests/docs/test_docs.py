"""What the documents promise is there: links, commands, make targets, and a configuration that passes the check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from collectors import signals_page
from dashboards.grafana.howto import SCRAPE_CONFIG
from recwatch.app.cli import app
from recwatch.app.config import parse_config

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def commands() -> list[list[str]]:
    """The words of each line of the README's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENTS[0].read_text(), flags=re.DOTALL)
    return [line.split() for block in blocks for line in block.splitlines()]


def test_the_configuration_in_the_readme_is_good() -> None:
    """A whole configuration, keys that its service may have, too, and what a Prometheus is told."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENTS[0].read_text(), flags=re.DOTALL)
    whole, discovery, prometheus = map(yaml.safe_load, blocks)
    assert parse_config(whole, "README.md").services[0].name == "shop"
    found = {"services": [whole["services"][0] | discovery]}
    assert parse_config(found, "README.md").services[0].file_sd_configs
    assert list(prometheus) == ["remote_write"]


def test_the_page_of_operations_scrapes_recwatch_as_a_build_says() -> None:
    assert SCRAPE_CONFIG in (ROOT / "docs" / "operations.md").read_text()


def test_every_command_in_the_readme_exists() -> None:
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    known |= {str(group.name) for group in app.registered_groups}
    named = {words[1] for words in commands() if words[0] == "recwatch"}
    assert named
    assert named <= known


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {words[1] for words in commands() if words[0] == "make"}
    assert {"demo", "test"} <= named <= targets


def test_the_lock_names_no_host() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_page_of_signals_is_what_the_code_makes() -> None:
    assert (ROOT / "docs" / "signals.md").read_text() == signals_page.page(), "run `make docs`, and look at the change"
