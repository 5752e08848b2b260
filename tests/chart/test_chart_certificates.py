"""Certificate authorities of the user's: the pods that call servers trust them."""

import json
from pathlib import PurePosixPath
from typing import Final

from tests.support.helm import Chart, Values
from tests.support.manifests import pod_templates

GIVEN: Final[Values] = {
    "certificateAuthorities": {"existingConfigMap": "our-cas"},
    "encryption": {"existingSecret": "my-keys"},
}


def test_every_pod_that_calls_servers_trusts_them(chart: Chart) -> None:
    """The variable names a file of the folder in which the ConfigMap is mounted."""
    trusting = {}
    for pod in pod_templates(chart.render(GIVEN).manifests):
        [container, *_] = pod.containers
        for variable in container.get("env", []):
            if variable["name"] == "SSL_CERT_FILE":
                trusting[pod.owner] = PurePosixPath(variable["value"])
                [volume] = [one for one in pod.spec["volumes"] if "configMap" in one]
                mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
                assert volume["configMap"] == {"name": "our-cas"}
                assert mounts[volume["name"]] == str(trusting[pod.owner].parent)

    assert {path.name for path in trusting.values()} == {"ca.crt"}
    assert {owner.partition("-migration")[0] for owner in trusting} == {
        "Deployment/activation-gateway",
        "Deployment/activation-worker",
        "Job/activation",
    }


def test_nothing_is_said_of_authorities_by_default(chart: Chart) -> None:
    """The system's own hold, and no volume waits for a ConfigMap that nobody made."""
    for pod in pod_templates(chart.render({}).manifests):
        names = {one["name"] for one in pod.containers[0].get("env", [])}
        assert "SSL_CERT_FILE" not in names
        assert "certificate-authorities" not in json.dumps(pod.spec)
