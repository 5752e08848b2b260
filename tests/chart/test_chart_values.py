"""values.yaml: each value has an effect, and each is explained."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.support.helm import (
    CHART,
    EXTERNAL_BROKER,
    EXTERNAL_DATABASE,
    OWN_SECRETS,
    Chart,
    Values,
)

TEXT: Final = (CHART / "values.yaml").read_text()
VALUES: Final = yaml.safe_load(TEXT)
DEPENDENCIES: Final = {"rabbitmq", "postgres"}

OIDC: Final[Values] = {
    "gateway": {
        "oidc": {"issuer": "https://issuer.example.com", "audience": "us", "ratePerSecond": 5}
    }
}
# What must be switched on before the values below a key have an effect.
NEEDS: Final[dict[str, Values]] = {
    "gateway.autoscaling.enabled": {},
    "gateway.ingress.enabled": {},
    "gateway.autoscaling.": {"gateway": {"autoscaling": {"enabled": True}}},
    "gateway.ingress.": {"gateway": {"ingress": {"enabled": True}}},
    "gateway.service.nodePort": {"gateway": {"service": {"type": "NodePort"}}},
    "gateway.oidc.": OIDC,
    "tracing.to": {"tracing": {"endpoint": "http://collector.telemetry.svc:4318"}},
    "tracing.sampleRatio": {"tracing": {"endpoint": "http://collector.telemetry.svc:4318"}},
    "worker.replicas": {"keda": {"enabled": False}},
    "worker.autoscaling.": {
        "keda": {"enabled": False},
        "worker": {"autoscaling": {"enabled": True}},
    },
    "worker.autoscaling.enabled": {"keda": {"enabled": False}},
    "handler.url": {"handler": {"enabled": False, "url": "http://10.0.0.1/"}},
    "broker.existingSecret": EXTERNAL_BROKER,
    "broker.managementUrl": EXTERNAL_BROKER,
    "database.existingSecret": EXTERNAL_DATABASE,
    "monitoring.podMonitors.": {"monitoring": {"podMonitors": {"enabled": True}}},
    "monitoring.rules.": {"monitoring": {"rules": {"enabled": True}}},
    "monitoring.dashboards.": {"monitoring": {"dashboards": {"enabled": True}}},
    "monitoring.podMonitors.enabled": {},
    "monitoring.rules.enabled": {},
    "monitoring.dashboards.enabled": {},
}
# Another valid value, where one cannot be made of the value that is there.
OTHERS: Final[dict[str, Any]] = {
    "image.pullSecrets": ["pull"],
    "image.pullPolicy": "Always",
    "logging.level": "error",
    "logging.format": "console",
    "gateway.service.type": "LoadBalancer",
    "gateway.service.nodePort": 30080,
    "gateway.terminationGracePeriodSeconds": 60,
    "gateway.ingress.path": "/activation",
    "gateway.oidc.issuer": "https://login.example.com",
    "gateway.oidc.jwksUrl": "https://login.example.com/keys",
    "gateway.oidc.ratePerSecond": 7.5,
    "gateway.oidc.burst": 20,
    "handler.url": "https://provisioning.example.com",
    "tracing.endpoint": "https://collector.example.com",
    "tracing.sampleRatio": 0.5,
    "broker.managementUrl": "https://rabbitmq.example.com",
    "tests.equipment": "ABC123456",
    "monitoring.podMonitors.interval": "15s",
    "monitoring.rules.runbookUrl": "https://runbooks.example.com",
}
# The same, for each value of this name.
OTHERS_BY_NAME: Final[dict[str, Any]] = {
    "digest": f"sha256:{64 * '0'}",
    "annotations": {"example.com/a": "b"},
    "labels": {"example.com/a": "b"},
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"example.com/a": "b"},
    "commonLabels": {"example.com/a": "b"},
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [{"maxSkew": 2}],
    "extraEnv": [{"name": "A", "value": "b"}],
    "secretWords": ["password", "pin"],
    "gatewayFrom": [{"podSelector": {}}],
    "metricsFrom": [{"podSelector": {}}],
    "to": [{"podSelector": {}}],
    "extraEgress": [{"to": [{"podSelector": {}}]}],
}


def leaves(values: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Return each value of ours that is no mapping of further ones, with its path."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


OURS: Final = {key: value for key, value in VALUES.items() if key not in DEPENDENCIES}
LEAVES: Final = dict(leaves(OURS))
# Without handler.url it is refused: test_chart_matrix sets both.
NOT_ALONE: Final = {"handler.enabled"}


def other(path: str, value: Any) -> Any:
    """Return a valid value that differs."""
    name = path.rpartition(".")[2]
    if path in OTHERS:
        return OTHERS[path]
    if name in OTHERS_BY_NAME:
        return OTHERS_BY_NAME[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if name in {"cpu", "memory"}:
        return "123M"
    return "other"


def nested(path: str, value: Any) -> Values:
    """Return the values with one set."""
    for key in reversed(path.split(".")):
        value = {key: value}
    result: Values = value
    return result


def needs(path: str) -> Values:
    """Return what must be on, by the longest entry that fits."""
    fitting = [prefix for prefix in NEEDS if path.startswith(prefix)]
    return NEEDS[max(fitting, key=len)] if fitting else {}


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - NOT_ALONE))
def test_value_has_an_effect(chart: Chart, path: str) -> None:
    """Another value gives other objects."""
    # With Secrets of its own the chart makes no passwords, which would differ each time.
    base = (OWN_SECRETS, needs(path))
    changed = nested(path, other(path, LEAVES[path]))

    assert chart.render(*base).text != chart.render(*base, changed).text


def test_no_exception_is_left_over() -> None:
    """What the tables above name is still a value."""
    names = {path.rpartition(".")[2] for path in LEAVES}

    assert [path for path in OTHERS if path not in LEAVES] == []
    assert [name for name in OTHERS_BY_NAME if name not in names] == []
    assert [start for start in NEEDS if not any(path.startswith(start) for path in LEAVES)] == []


def explained() -> Iterator[tuple[str, bool]]:
    """Return the path of each key of values.yaml, and whether a comment speaks of it.

    A comment speaks of the key beside it, of the keys below it until an empty line, and of all
    that they hold.
    """
    parents: list[tuple[int, str, bool]] = []  # indentation, key, explained
    comment = False
    for line in TEXT.splitlines():
        indentation = len(line) - len(line.lstrip())
        key = re.match(r"\s*([\w-]+):", line)
        if not line.strip():
            comment = False
        elif line.lstrip().startswith("#"):
            comment = True
        elif key:
            while parents and parents[-1][0] >= indentation:
                parents.pop()
            # A comment on a whole part says nothing of its single values.
            inherited = len(parents) > 1 and parents[-1][2]
            speaks = comment or inherited or " #" in line
            parents.append((indentation, key[1], speaks))
            yield ".".join(name for _, name, _ in parents), speaks


def test_every_value_is_explained() -> None:
    """By a comment, or by one on the value of the same name in a part above."""
    found = dict(explained())
    by_name = {path.partition(".")[2] for path, speaks in found.items() if speaks}

    unexplained = [
        path
        for path, speaks in found.items()
        if not speaks
        and path.split(".")[0] not in DEPENDENCIES
        and path.partition(".")[2] not in by_name
    ]

    assert unexplained == []


def test_presets_set_values_that_exist() -> None:
    """A preset overrides defaults; it does not bring values of its own."""
    for preset in CHART.glob("values-*.yaml"):
        ours = {
            part: values
            for part, values in yaml.safe_load(preset.read_text()).items()
            if part not in DEPENDENCIES
        }

        assert [path for path, _ in leaves(ours) if path not in LEAVES] == [], preset.name
