"""Checks objects against Kubernetes' own schema, strictly: a field it does not know is an error.

The schemas of all versions come with the package kubernetes-validate, so nothing is downloaded.
Its own `validate` reads them anew for each object, which takes a second for a chart.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.support.manifests import Manifest, identity


def schema_problems(manifest: Manifest, version: str) -> list[str]:
    """Return what Kubernetes of this version, such as 1.34, would not accept in an object."""
    group, _, api_version = manifest["apiVersion"].rpartition("/")
    parts = [manifest["kind"].lower(), group.split(".")[0], api_version]
    validator = _validator("-".join(part for part in parts if part), version)
    return [
        f"{identity(manifest)} {error.json_path}: {error.message}"
        for error in validator.iter_errors(manifest)
    ]


@cache
def _validator(name: str, version: str) -> Draft202012Validator:
    return Draft202012Validator(_read(name, version), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    return Resource.from_contents(_read("_definitions", version)) @ Registry()


def _read(name: str, version: str) -> Any:
    schemas = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((schemas / f"{name}.json").read_text(encoding="utf-8"))
