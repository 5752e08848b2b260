"""k8s/observability as `kubectl kustomize` makes it; no cluster is asked."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.manifests import Manifest, of_kind, read_manifests

ROOT: Final = Path(__file__).parents[2]
STACK: Final = "k8s/observability"
NAMESPACE: Final = "observability"
PORTS: Final = {"grafana": 3000, "prometheus": 9090, "jaeger": 16686}  # for people, by Service


def read_stack(folder: str = STACK) -> list[Manifest]:
    """Return all objects of the stack; a test that asks without kubectl is skipped."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    return read_manifests(_kustomize(folder))


@cache
def _kustomize(folder: str) -> str:
    return subprocess.run(
        ["kubectl", "kustomize", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def read_file(name: str) -> Any:
    """Return what a configuration of the stack says, found by the end of its ConfigMap's file."""
    (text,) = [
        content
        for config in of_kind(read_stack(), "ConfigMap")
        for file, content in config["data"].items()
        if file == name
    ]
    return yaml.safe_load(text)


def stack_values() -> dict[str, Any]:
    """Return the values that tell the chart of the stack."""
    values: dict[str, Any] = yaml.safe_load((ROOT / STACK / "values.yaml").read_text())
    return values
