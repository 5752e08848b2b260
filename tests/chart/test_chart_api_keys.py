"""API keys: the gateway reads them from a Secret of the user's, and nothing else does."""

import json
from pathlib import PurePosixPath
from typing import Final

from tests.support.helm import Chart, Values
from tests.support.manifests import PodTemplate, one, pod_templates

KEYS: Final[Values] = {"gateway": {"apiKeys": {"existingSecret": "my-keys"}}}
FILE: Final = "ACTIVATION_API_KEYS_FILE"


def gateway_settings(chart: Chart, values: Values) -> dict[str, str]:
    found = one(chart.render(values).manifests, "ConfigMap/activation-gateway")
    return dict(found["data"])


def mounting(chart: Chart, values: Values, secret: str) -> list[PodTemplate]:
    """Return the pods that know a Secret."""
    pods = pod_templates(chart.render(values).manifests)
    return [pod for pod in pods if f'"{secret}"' in json.dumps(pod.spec)]


def test_no_key_is_asked_for_by_default(chart: Chart) -> None:
    """The original contract has none."""
    assert FILE not in gateway_settings(chart, {})


def test_gateway_reads_the_folder_of_the_secret(chart: Chart) -> None:
    """A file mounted alone (subPath) would never change; no other pod has the hashes."""
    path = PurePosixPath(gateway_settings(chart, KEYS)[FILE])
    [gateway] = mounting(chart, KEYS, "my-keys")
    [container] = gateway.containers
    [mount] = container["volumeMounts"]
    [volume] = gateway.spec["volumes"]

    assert gateway.owner == "Deployment/activation-gateway"
    assert mount == {"name": volume["name"], "mountPath": str(path.parent), "readOnly": True}
    assert path.name == "keys.yaml"
    assert volume["secret"] == {"secretName": "my-keys"}


def test_test_pod_takes_its_key_from_a_secret(chart: Chart) -> None:
    """And no other pod does."""
    values = {**KEYS, "tests": {"apiKeySecret": "my-key"}}
    [pod] = mounting(chart, values, "my-key")
    [variable] = [v for v in pod.containers[0]["env"] if v["name"] == "API_KEY"]

    assert pod.owner == "Pod/activation-test"
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "my-key", "key": "api-key"}}


def test_new_secret_makes_new_pods_and_a_change_of_it_does_not(chart: Chart) -> None:
    """Its name is a setting, its content is read again."""
    sums = {
        one(chart.render(values).manifests, "Deployment/activation-gateway")["spec"]["template"][
            "metadata"
        ]["annotations"]["checksum/config"]
        for values in ({}, KEYS)
    }

    assert len(sums) == 2
