"""What `helm test` runs: one activation through the gateway, and KEDA's view of the queue."""

import os
import ssl
import sys
import time
from pathlib import Path

import httpx

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = float(os.environ["TIMEOUT_S"])


def activate(gateway: httpx.Client, equipment: str, end: float) -> None:
    """Make an activation and wait for its result."""
    device = f"/api/v1/equipment/cpe/{equipment}"
    answer = gateway.post(device, json={"parameters": {}})
    if answer.status_code != httpx.codes.OK:
        sys.exit(f"the gateway did not accept: {answer.status_code} {answer.text}")
    task = answer.json()["taskId"]
    print(f"accepted as task {task}", flush=True)
    while time.monotonic() < end:
        answer = gateway.get(f"{device}/task/{task}", headers={"Prefer": "wait=10"})
        if answer.status_code == httpx.codes.OK:
            print(f"done: {answer.text}", flush=True)
            return
        if answer.status_code != httpx.codes.NO_CONTENT:
            sys.exit(f"the activation of {equipment} failed: {answer.status_code} {answer.text}")
    sys.exit(f"task {task} still runs after {TIMEOUT_S:.0f} s")


def check_keda(namespace: str, name: str, end: float) -> None:
    """Wait until KEDA has read the queue's length."""
    tls = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    token = (ACCOUNT / "token").read_text()
    at = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    headers = {"Authorization": f"Bearer {token}"}
    problem = "no answer"
    with httpx.Client(base_url=at, verify=tls, headers=headers, timeout=10) as kubernetes:
        while time.monotonic() < end:
            problem = _keda_problem(kubernetes, namespace, name)
            if not problem:
                return
            time.sleep(2)
    sys.exit(f"KEDA does not see the queue: {problem}")


def _keda_problem(kubernetes: httpx.Client, namespace: str, name: str) -> str:
    scaled = kubernetes.get(f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/{name}")
    if scaled.status_code != httpx.codes.OK:
        return scaled.text
    status = scaled.json().get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") != "True":
        return f"the ScaledObject is not ready: {conditions.get('Ready')}"
    if not status.get("externalMetricNames"):
        return "the ScaledObject has no metric yet"
    metric = status["externalMetricNames"][0]
    value = kubernetes.get(
        f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}",
        params={"labelSelector": f"scaledobject.keda.sh/name={name}"},
    )
    if value.status_code != httpx.codes.OK:
        return value.text
    print(f"KEDA reads {value.json()['items'][0]['value']} tasks in the queue", flush=True)
    return ""


def main() -> None:
    """Do both, within one limit."""
    end = time.monotonic() + TIMEOUT_S
    if scaled_object := os.environ.get("SCALED_OBJECT"):
        check_keda(os.environ["NAMESPACE"], scaled_object, end)
    headers = {"X-API-Key": os.environ["API_KEY"]} if "API_KEY" in os.environ else {}
    with httpx.Client(base_url=os.environ["GATEWAY_URL"], headers=headers, timeout=30) as gateway:
        activate(gateway, os.environ["EQUIPMENT"], end)


main()
