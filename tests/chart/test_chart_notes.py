"""NOTES.txt: its commands name what is there, and work when pasted."""

import re
import shlex
from typing import Final

import pytest
import typer

from activation_cli.main import app
from tests.support.helm import (
    EXTERNAL_BROKER,
    EXTERNAL_DATABASE,
    NAMESPACE,
    Chart,
    Values,
    helm,
)
from tests.support.manifests import Manifest, identity, matches, one, pod_templates

KINDS: Final = {"service": "Service", "deploy": "Deployment", "secret": "Secret", "pod": "Pod"}
ELSEWHERE: Final[Values] = {**EXTERNAL_BROKER, **EXTERNAL_DATABASE}
NO_KEDA: Final[Values] = {"keda": {"enabled": False}}


def commands(notes: str) -> list[list[str]]:
    """Return the words of each command; they stand indented, one a line."""
    lines = re.findall(r"^ {3}(\S.*)$", notes, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def named(words: list[str]) -> set[str]:
    """Return the objects, as kind/name, that a kubectl command names."""
    found = {
        f"{KINDS[kind]}/{name}"
        for word in words
        for kind, _, name in [word.partition("/")]
        if kind in KINDS and name
    }
    if "secret" in words:
        found.add(f"Secret/{words[words.index('secret') + 1]}")
    return found


@pytest.fixture(
    scope="session",
    params=[
        ("default", "activation", {}),
        ("dev", "demo", {}),
        ("production", "prod", {}),
        ("default", "activation", ELSEWHERE),
        ("default", "activation", NO_KEDA),
    ],
    ids=["default", "dev", "production", "elsewhere", "no keda"],
)
def installed(
    request: pytest.FixtureRequest, whole_chart: Chart
) -> tuple[str, str, list[Manifest]]:
    """The release's name, its notes and its objects."""
    if helm("version", "--short").startswith("v3"):
        pytest.skip("Helm 3 asks a cluster before it prints notes")
    preset, release, values = request.param
    notes = whole_chart.notes(values, preset=preset, release=release)
    return release, notes, whole_chart.render(values, preset=preset, release=release).manifests


def test_commands_name_objects_that_are_there(
    installed: tuple[str, str, list[Manifest]],
) -> None:
    """No command ends in NotFound."""
    _, notes, manifests = installed
    there = set(map(identity, manifests))
    wanted = {name for words in commands(notes) for name in named(words)}

    assert wanted
    assert wanted - there == set()


def test_commands_are_in_the_namespace_of_the_release(
    installed: tuple[str, str, list[Manifest]],
) -> None:
    """They work whichever namespace kubectl has by default; `helm test` names the release."""
    release, notes, _ = installed
    used = [words for words in commands(notes) if words[0] in {"kubectl", "helm"}]

    for words in used:
        assert words[words.index("--namespace") + 1] == NAMESPACE
    assert ["helm", "test", release] in [words[:3] for words in used]


def test_forwarded_ports_are_ports_of_the_service(
    installed: tuple[str, str, list[Manifest]],
) -> None:
    """And the page that the text before names is at the local one."""
    _, notes, manifests = installed
    forwards = [words for words in commands(notes) if "port-forward" in words]

    assert forwards
    for words in forwards:
        local, _, remote = words[-1].partition(":")
        service = one(manifests, *named(words))

        assert int(remote) in {port["port"] for port in service["spec"]["ports"]}
        assert f"http://localhost:{local}" in notes


def test_selected_pods_are_there(installed: tuple[str, str, list[Manifest]]) -> None:
    """A selector in a command chooses pods."""
    _, notes, manifests = installed
    pods = list(pod_templates(manifests))

    for words in commands(notes):
        if "--selector" in words:
            key, _, value = words[words.index("--selector") + 1].partition("=")

            assert any(matches({key: value}, pod.labels) for pod in pods)


def test_programs_run_in_pods_are_known(installed: tuple[str, str, list[Manifest]]) -> None:
    """What follows `exec … --` is a command of the CLI."""
    _, notes, _ = installed
    known = typer.main.get_group(app).commands

    for words in commands(notes):
        if "exec" in words:
            program, command = words[words.index("--") + 1 :][:2]

            assert (program, command in known) == ("activation", True)


def test_read_key_is_in_the_secret(installed: tuple[str, str, list[Manifest]]) -> None:
    """The password that is printed exists."""
    _, notes, manifests = installed

    for words in commands(notes):
        if "secret" in words:
            (key,) = re.findall(r"\.data\.([\w-]+)", words[-1])

            assert key in one(manifests, *named(words))["stringData"]


def test_scaling_is_spoken_of_only_where_there_is_some(
    installed: tuple[str, str, list[Manifest]],
) -> None:
    """Without KEDA there is no scaledobject to look at."""
    _, notes, manifests = installed

    assert ("scaledobject" in notes) == any(
        manifest["kind"] == "ScaledObject" for manifest in manifests
    )
