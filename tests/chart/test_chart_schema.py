"""values.schema.json: knows every value of ours, and refuses what is none."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.support.helm import CHART, PRESETS, Chart, HelmError, Values

SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text())
VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text())
# Only the schema's: Helm hands it to the dependencies, whose values these are.
OF_HELM: Final = {"global"}

MISTAKES: Final[list[tuple[Values, str]]] = [
    ({"gatway": {}}, "gatway"),
    ({"gateway": {"replica": 3}}, "replica"),
    ({"gateway": {"ingress": {"hostname": "a.example.com"}}}, "hostname"),
    ({"gateway": {"image": {"name": "x"}}}, "name"),
    ({"gateway": {"oidc": {"issuer": "issuer.example.com"}}}, "issuer"),
    ({"gateway": {"oidc": {"audiences": ["us"]}}}, "audiences"),
    ({"gateway": {"oidc": {"scopePrefix": "a b"}}}, "scopePrefix"),
    ({"gateway": {"oidc": {"ratePerSecond": 0}}}, "ratePerSecond"),
    ({"worker": {"autoscaling": {"maxreplicas": 3}}}, "maxreplicas"),
    ({"worker": {"podDisruptionBudget": {"minAvailable": 1}}}, "minAvailable"),
    ({"handler": {"topologySpreadConstraints": []}}, "topologySpreadConstraints"),
    ({"migration": {"enable": False}}, "enable"),
    ({"keda": {"scaleDown": {"pods": 1}}}, "pods"),
    ({"keda": {"fallback": {"replica": 1}}}, "replica"),
    ({"broker": {"queue": "x"}}, "queue"),
    ({"database": {"url": "postgresql://a"}}, "url"),
    ({"networkPolicy": {"gatewayfrom": []}}, "gatewayfrom"),
    ({"serviceAccount": {"annotation": {}}}, "annotation"),
    ({"tests": {"enabled": False}}, "enabled"),
    ({"monitoring": {"enabled": True}}, "enabled"),
    ({"monitoring": {"podMonitors": {"interval": "often"}}}, "interval"),
    ({"monitoring": {"rules": {"labels": {"release": 1}}}}, "release"),
    ({"monitoring": {"dashboards": {"folder": "a"}}}, "folder"),
    ({"worker": {"concurrency": 0}}, "concurrency"),
    ({"worker": {"concurrency": "50"}}, "concurrency"),
    ({"worker": {"concurrency": 2.5}}, "concurrency"),
    ({"worker": {"leaseSeconds": 5}}, "leaseSeconds"),
    ({"worker": {"terminationGracePeriodSeconds": 10}}, "terminationGracePeriodSeconds"),
    ({"worker": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "maxUnavailable"),
    ({"worker": {"podDisruptionBudget": {"maxUnavailable": "0%"}}}, "maxUnavailable"),
    ({"worker": {"extraEnv": [{"name": "A", "value": 1}]}}, "value"),
    ({"gateway": {"retentionSeconds": 3600}}, "retentionSeconds"),
    ({"gateway": {"service": {"type": "nodeport"}}}, "type"),
    ({"gateway": {"service": {"port": 70000}}}, "port"),
    ({"gateway": {"podLabels": {"team": "a b"}}}, "podLabels"),
    ({"gateway": {"podAnnotations": {"on": True}}}, "podAnnotations"),
    ({"gateway": {"image": {"digest": "sha256:1234"}}}, "digest"),
    ({"handler": {"url": "provisioning.example.com"}}, "url"),
    ({"logging": {"level": "trace"}}, "level"),
    ({"image": {"pullPolicy": "always"}}, "pullPolicy"),
    ({"image": {"registry": "https://registry.example.com"}}, "registry"),
    ({"image": {"tag": 18}}, "tag"),
    ({"secretWords": ["a,b"]}, "secretWords"),
    ({"retry": {"maxAttempts": 0}}, "maxAttempts"),
    ({"rabbitmq": {"enabled": "no"}}, "enabled"),
    ({"postgres": {"enabled": 0}}, "enabled"),
]


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into `definitions`."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return found


def closed(schema: dict[str, Any]) -> bool:
    """Tell whether a mapping is ours: nothing is allowed in it but what is named."""
    return schema.get("additionalProperties") is False


def keys_of_schema(schema: dict[str, Any], at: str = "") -> Iterator[str]:
    for key, found in schema["properties"].items():
        yield f"{at}{key}"
        if closed(resolve(found)):
            yield from keys_of_schema(resolve(found), f"{at}{key}.")


def keys_of_values(values: dict[str, Any], schema: dict[str, Any], at: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{at}{key}"
        below = resolve(schema["properties"].get(key, {}))
        if closed(below):
            yield from keys_of_values(value, below, f"{at}{key}.")


def test_schema_and_values_have_the_same_keys() -> None:
    """Each value can be found in values.yaml, and each that stands there is known."""
    in_values = set(keys_of_values(VALUES, SCHEMA))

    assert set(keys_of_schema(SCHEMA)) - OF_HELM == in_values


def test_every_definition_is_used() -> None:
    """None was left behind."""
    text = json.dumps(SCHEMA)

    assert [name for name in SCHEMA["definitions"] if f'"#/definitions/{name}"' not in text] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_lint_finds_nothing(chart: Chart, preset: str) -> None:
    """`helm lint --strict` accepts each preset."""
    assert "0 chart(s) failed" in chart.lint(preset)


@pytest.mark.parametrize("preset", PRESETS)
def test_lint_finds_nothing_with_the_dependencies(whole_chart: Chart, preset: str) -> None:
    """Their schemas accept what our values and presets tell them."""
    assert "0 chart(s) failed" in whole_chart.lint(preset)


@pytest.mark.parametrize(("values", "key"), MISTAKES, ids=lambda part: json.dumps(part)[:60])
def test_mistake_is_refused_by_name(chart: Chart, values: Values, key: str) -> None:
    """A typo or a value out of range stops the install, with the key in the message."""
    with pytest.raises(HelmError, match=rf"values don't meet the specifications[\s\S]*\b{key}\b"):
        chart.render(values)


def test_dependencies_take_any_value_of_theirs(chart: Chart) -> None:
    """Our schema does not stand in the way of what theirs allow."""
    render = chart.render({"rabbitmq": {"replicaCount": 5}, "global": {"imageRegistry": "mirror"}})

    assert render.manifests
