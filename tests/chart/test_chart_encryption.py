"""Keys that encrypt parameters: gateway and worker read them from a Secret of the user's."""

from pathlib import PurePosixPath
from typing import Final

import pytest

from tests.chart.test_chart_api_keys import mounting
from tests.support.helm import Chart, Values
from tests.support.manifests import one

KEYS: Final[Values] = {"encryption": {"existingSecret": "my-keys"}}
FILE: Final = "ACTIVATION_ENCRYPTION_KEYS_FILE"


def setting(chart: Chart, values: Values, component: str) -> str | None:
    found = one(chart.render(values).manifests, f"ConfigMap/activation-{component}")
    value: str | None = found["data"].get(FILE)
    return value


@pytest.mark.parametrize("component", ["gateway", "worker"])
def test_nothing_is_encrypted_by_default(chart: Chart, component: str) -> None:
    """A key that nobody keeps a copy of would cost all parameters."""
    assert setting(chart, {}, component) is None


def test_gateway_and_worker_read_the_folder_of_the_secret(chart: Chart) -> None:
    """And no other pod has the keys; a file mounted alone (subPath) would never change."""
    pods = mounting(chart, KEYS, "my-keys")

    assert sorted(pod.owner for pod in pods) == [
        "Deployment/activation-gateway",
        "Deployment/activation-worker",
    ]
    for pod in pods:
        path = PurePosixPath(setting(chart, KEYS, pod.owner.rpartition("-")[2]) or "")
        [mount] = pod.containers[0]["volumeMounts"]
        [volume] = pod.spec["volumes"]
        assert mount == {"name": volume["name"], "mountPath": str(path.parent), "readOnly": True}
        assert path.name == "keys.yaml"
        assert volume["secret"] == {"secretName": "my-keys"}


def test_gateway_may_have_both_kinds_of_keys(chart: Chart) -> None:
    """Each in a folder of its own."""
    values = {**KEYS, "gateway": {"apiKeys": {"existingSecret": "api"}}}

    [gateway] = mounting(chart, values, "api")

    names = [volume["secret"]["secretName"] for volume in gateway.spec["volumes"]]
    assert names == ["api", "my-keys"]
    assert len({mount["mountPath"] for mount in gateway.containers[0]["volumeMounts"]}) == 2
