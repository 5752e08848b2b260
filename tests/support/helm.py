"""The chart as Helm renders it; no cluster is asked."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tests.support.manifests import Manifest, read_manifests

CHART: Final = Path(__file__).parents[2] / "charts" / "activation"
NAMESPACE: Final = "telecom"
DEADLINE_S: Final = 60.0

Values = Mapping[str, Any]

# What each preset leaves to the one who installs it.
PRESETS: Final[dict[str, Values]] = {
    "default": {},
    "dev": {},
    "production": {"handler": {"url": "https://provisioning.example.com/"}},
}
EXTERNAL_BROKER: Final[Values] = {
    "rabbitmq": {"enabled": False},
    "broker": {
        "existingSecret": "my-broker",
        "managementUrl": "http://rabbitmq.example.com:15672",
    },
}
EXTERNAL_DATABASE: Final[Values] = {
    "postgres": {"enabled": False},
    "database": {"existingSecret": "my-database"},
}
OWN_SECRETS: Final[Values] = {
    "broker": {"existingSecret": "my-broker"},
    "database": {"existingSecret": "my-database"},
    "rabbitmq": {
        "auth": {"existingSecret": "my-broker"},
        "definitions": {"existingSecret": "my-broker"},
    },
    "postgres": {
        "auth": {"existingSecret": "my-database"},
        "customUser": {"existingSecret": "my-database"},
    },
}


class HelmError(Exception):
    """Helm refused; the text is what it said."""


@dataclass(frozen=True)
class Render:
    """What Helm made of the chart."""

    text: str

    @cached_property
    def manifests(self) -> list[Manifest]:
        return read_manifests(self.text)


@dataclass(frozen=True)
class Chart:
    """A copy of the chart, with charts of the same names in place of its dependencies."""

    folder: Path
    _renders: dict[str, Render] = field(default_factory=dict)

    def render(
        self,
        *overlays: Values,
        preset: str = "default",
        release: str = "activation",
        kinds: tuple[str, ...] = (),
    ) -> Render:
        """Return the objects of an install, those of `helm test` included.

        Args:
            overlays: Values over those of the preset; a later one wins.
            preset: A key of `PRESETS`.
            release: The name of the release.
            kinds: What the cluster knows, such as apps/v1/Deployment; by default it is not asked.

        Raises:
            HelmError: The schema or a template refused the values.
        """
        command = ["template", release, *(f"--api-versions={kind}" for kind in kinds)]
        asked = json.dumps([command, preset, overlays])
        if asked not in self._renders:
            self._renders[asked] = Render(self._helm(command, preset, overlays))
        return self._renders[asked]

    def notes(self, *overlays: Values, preset: str = "default", release: str = "activation") -> str:
        """Return what `helm install` prints at its end."""
        install = ["install", release, "--dry-run=client", "--output=json"]
        notes: str = json.loads(self._helm(install, preset, overlays))["info"]["notes"]
        return notes

    def lint(self, preset: str) -> str:
        """Return what `helm lint --strict` says.

        Raises:
            HelmError: It found something.
        """
        return self._helm(["lint", "--strict"], preset, ())

    def _helm(self, command: list[str], preset: str, overlays: tuple[Values, ...]) -> str:
        options = [f"--namespace={NAMESPACE}", "--values=-"]
        if preset != "default":
            options.insert(1, f"--values={self.folder}/values-{preset}.yaml")
        values = json.dumps(laid_over(PRESETS[preset], *overlays))
        return helm(*command, str(self.folder), *options, stdin=values)


def laid_over(*overlays: Values) -> dict[str, Any]:
    """Return one mapping, in which a later one wins key by key, as Helm does it."""
    result: dict[str, Any] = {}
    for overlay in overlays:
        for key, value in overlay.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = laid_over(result[key], value) if both else value
    return result


def helm(*arguments: str, stdin: str = "") -> str:
    """Run Helm and return what it prints.

    Raises:
        HelmError: It ended with another code than 0.
    """
    done = subprocess.run(
        ["helm", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    if done.returncode:
        raise HelmError(done.stderr + done.stdout)
    return done.stdout


def copy_chart(target: Path, dependencies: Path | None = None) -> Chart:
    """Copy the chart to a folder that does not exist yet, with a folder of charts to depend on.

    Without `dependencies` those come along that `helm dependency build` left in the chart.
    """
    shutil.copytree(CHART, target)
    if dependencies:
        shutil.rmtree(target / "charts", ignore_errors=True)
        shutil.copytree(dependencies, target / "charts")
    return Chart(target)
