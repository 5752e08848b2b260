"""Runbooks: every page has the same parts, and its commands can be pasted."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

import click
import pytest
import typer

from activation_cli.main import app
from tests.support.dashboards import RUNBOOKS, dashboards, panels

PAGES: Final = sorted(set(RUNBOOKS.glob("*.md")) - {RUNBOOKS / "README.md"})
PARTS: Final = ["See it", "Likely causes", "What to do", "It is over when"]
TASK: Final = "019a0000-0000-7000-8000-000000000000"
# What the chart makes for a release named `activation`; test_chart_notes renders it.
OBJECTS: Final = {
    "deploy/activation-gateway",
    "deploy/activation-worker",
    "deploy/keda-operator",
    "scaledobject activation-worker",
    "secret activation-broker",
    "secret activation-database",
    "activation-rabbitmq-0",
    "activation-postgres-0",
}
# The words of others.
QUOTED: Final = {"Internal provisioning exception"}


def commands(page: Path) -> list[list[str]]:
    """Return the words of each command on a page, in blocks and in the text; pipes are cut off."""
    text = page.read_text()
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    lines += re.findall(r"`((?:activation|kubectl) [^`]+)`", re.sub(r"(?s)```.*?```", "", text))
    return [shlex.split(line.partition(" | ")[0].replace("TASK", TASK)) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_page_has_its_parts(page: Path) -> None:
    """The alert's name, what the customer feels, and four questions in their order."""
    lines = page.read_text().splitlines()

    assert lines[0] == f"# {page.stem}"
    assert lines[2].startswith("**The customer**")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == PARTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_page_says_what_to_type(page: Path) -> None:
    """Each begins with a look, by commands of these two programs."""
    assert {words[0] for words in commands(page)} <= {"activation", "kubectl"}
    assert commands(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_commands_of_the_command_line_exist(page: Path) -> None:
    """Each is taken with its options; it is not run."""
    for words in (words for words in commands(page) if words[0] == "activation"):
        command: Any = typer.main.get_command(app)
        context, rest = click.Context(command), words[1:]
        while isinstance(command, click.Group):
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command, context = found, click.Context(found, parent=context)
        command.parse_args(context, rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_kubectl_names_objects_of_the_chart(page: Path) -> None:
    """Of a release named `activation`."""
    for words in (words for words in commands(page) if words[0] == "kubectl"):
        line = " ".join(words)
        named = re.findall(
            r"\bdeploy/[\w-]+|\b(?:scaledobject|secret) activation-\w+|\bactivation-\w+-0\b", line
        )

        assert set(named) <= OBJECTS


@pytest.mark.parametrize("page", [*PAGES, RUNBOOKS / "README.md"], ids=lambda page: str(page.stem))
def test_links_lead_somewhere(page: Path) -> None:
    """To files that are there."""
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_panels_that_a_page_names_exist(page: Path) -> None:
    """On the dashboard of the sentence, or on any: names in double quotes are titles."""
    titles = {str(panel["title"]) for board in dashboards() for panel in panels(board)}
    lines = {
        str(target.get("legendFormat", "")).capitalize()
        for board in dashboards()
        for panel in panels(board)
        for target in panel.get("targets", [])
    }
    marks = {str(mark["name"]) for mark in dashboards()[0]["annotations"]["list"]}
    text = re.sub(r"(?s)```.*?```|`[^`]*`", "", page.read_text())
    named = set(re.findall(r'"([A-Z][^"]+)"', text))

    assert named - titles - lines - marks - QUOTED == set()
