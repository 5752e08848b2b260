"""A kubectl for tests: a cluster in a file, in which everything happens at once.

`StubCluster` puts it on the PATH, and there this module is the program. It has two nodes, one
release with two gateways and two workers, and servers and autoscalers as a test says.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

_DEPLOYMENTS = ("gateway", "worker", "handler")


class StubCluster:
    """The cluster, and what was asked of it.

    Args:
        folder: Holds the program, which must come first on the PATH, and the cluster.
        workers: How many there are.
        autoscaler: What holds their number: `scaledobjects`, `horizontalpodautoscalers`, or "".
        nodes: How many there are.
        servers: Whether the release has its own.
        volumes: Whether their data outlive their pods.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        autoscaler: str = "",
        nodes: int = 2,
        servers: bool = True,
        volumes: bool = True,
    ) -> None:
        folder.mkdir(exist_ok=True)
        program = folder / "kubectl"
        program.write_text(f"#!{sys.executable} -SI\n{Path(__file__).read_text()}\nmain()\n")
        program.chmod(0o755)
        self._folder = folder
        replicas = {"gateway": 2, "worker": workers, "handler": 1}
        kinds: dict[str, list[Manifest]] = {
            "nodes": [{"metadata": _metadata(f"node-{n}", {}), "spec": {}} for n in range(nodes)],
            "deployments": [
                _workload(name, {"app.kubernetes.io/component": name}, replicas[name])
                for name in _DEPLOYMENTS
            ],
            "statefulsets": [
                _workload(name, {"app.kubernetes.io/name": name}, 1, volumes=volumes)
                for name in ("rabbitmq", "postgres")
                if servers
            ],
            "services": [],
            "pods": [],
            "scaledobjects.keda.sh": [],
            "horizontalpodautoscalers.autoscaling": [],
        }
        if autoscaler:
            names = {"scaledobjects": ("minReplicaCount", "maxReplicaCount")}
            bounds = names.get(autoscaler, ("minReplicas", "maxReplicas"))
            found = _workload("worker", {"app.kubernetes.io/component": "worker"}, 0)
            kinds[next(kind for kind in kinds if kind.startswith(autoscaler))] = [
                {**found, "spec": dict(zip(bounds, (1, 5), strict=True))}
            ]
        _resize(kinds)
        self.change(**kinds)

    @property
    def path(self) -> str:
        """The PATH on which it comes first."""
        return f"{self._folder}:{os.environ['PATH']}"

    @property
    def state(self) -> dict[str, Any]:
        """All objects, by kind."""
        return json.loads((self._folder / "cluster.json").read_text())  # type: ignore[no-any-return]

    def change(self, **kinds: Any) -> None:
        """Replace the objects of some kinds.

        Beside them `fails`, `hangs` and `slow` name commands that end with an error, do their work
        and do not end, and do it seconds later; with `forwards_end` ports lose their pods.
        """
        file = self._folder / "cluster.json"
        state = json.loads(file.read_text()) if file.exists() else {}
        _write(file, state | kinds)

    def calls(self, command: str) -> list[list[str]]:
        """Return the calls of a command, without what names the cluster."""
        file = self._folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if call[0] == command]


def _write(file: Path, state: dict[str, Any]) -> None:
    """Replace the cluster at once: others read it meanwhile."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.write_text(json.dumps(state))
    new.replace(file)


def _metadata(name: str, labels: Manifest) -> Manifest:
    own = {"app.kubernetes.io/instance": "activation"}
    return {"name": name, "uid": f"{name}-{time.monotonic_ns()}", "labels": own | labels}


def _workload(name: str, labels: Manifest, replicas: int, *, volumes: bool = False) -> Manifest:
    spec: Manifest = {"replicas": replicas, "template": {"spec": {}}}
    if volumes:
        spec["volumeClaimTemplates"] = [{}]
    return {"metadata": _metadata(name, labels), "spec": spec}


def _pod(workload: Manifest, n: int, node: str) -> Manifest:
    metadata = workload["metadata"]
    return {
        "metadata": _metadata(f"{metadata['name']}-{n}", metadata["labels"]),
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def _resize(state: dict[str, Any]) -> None:
    """Have as many pods as the workloads say, those that stay as they are."""
    before = {pod["metadata"]["name"]: pod for pod in state["pods"]}
    nodes = [node["metadata"]["name"] for node in state["nodes"]]
    pods = [
        _pod(workload, n, nodes[n % len(nodes)])
        for workload in (*state["deployments"], *state["statefulsets"])
        for n in range(workload["spec"]["replicas"])
    ]
    state["pods"] = [before.get(pod["metadata"]["name"], pod) for pod in pods]


def _matches(found: Manifest, selector: str) -> bool:
    labels = found["metadata"]["labels"]
    for wanted in filter(None, selector.split(",app")):
        name, _, value = ("app" + wanted.removeprefix("app")).partition("=")
        if " in " in name:
            name, _, values = name.partition(" in ")
            if labels.get(name) not in values.strip("()").split(","):
                return False
        elif value and labels.get(name) != value:
            return False
    return True


def _option(arguments: list[str], name: str) -> str:
    return next((a.removeprefix(f"--{name}=") for a in arguments if a.startswith(f"--{name}=")), "")


def _answer(state: dict[str, Any], arguments: list[str]) -> str:
    command, *rest = arguments
    words = [word for word in rest if not word.startswith("--")]
    if command == "config":
        return json.dumps({"contexts": [{"name": "stub", "context": {"namespace": "here"}}]})
    if command == "api-resources":
        group = _option(rest, "api-group")
        return "\n".join(kind for kind in state if kind.endswith(f".{group}") and state[kind])
    if command == "get":
        return _get(state, words, _option(rest, "selector"))
    if command == "delete":
        state["pods"] = [pod for pod in state["pods"] if pod["metadata"]["name"] != words[1]]
    if command == "drain":
        _named(state["nodes"], words[0])["spec"]["unschedulable"] = True
        for pod in list(state["pods"]):
            on_node = pod["spec"]["nodeName"] == words[0]
            if on_node and _matches(pod, _option(rest, "pod-selector")):
                state["pods"].remove(pod)
    if command == "uncordon":
        _named(state["nodes"], words[0])["spec"].pop("unschedulable")
    if command == "patch":
        _patch(state, words, rest)
    _resize(state)
    return ""


def _named(found: list[Manifest], name: str) -> Manifest:
    return next(one for one in found if one["metadata"]["name"] == name)


def _get(state: dict[str, Any], words: list[str], selector: str) -> str:
    kind = next(kind for kind in state if words[0] in {kind, kind.split(".")[0]})
    if words[1:]:
        return json.dumps(_named(state[kind], words[1]))
    return json.dumps({"items": [one for one in state[kind] if _matches(one, selector)]})


def _patch(state: dict[str, Any], words: list[str], options: list[str]) -> None:
    patched = _named(state[words[0]], words[1])
    managers = patched["metadata"].setdefault("managedFields", [])
    patch = json.loads(_option(options, "patch"))
    if "--type=json" in options:
        [_, remove] = patch
        managers.pop(int(remove["path"].rpartition("/")[2]))
        return
    managers[:] = [{"manager": "helm"}, {"manager": _option(options, "field-manager")}]
    spec = patch["spec"]
    patched["spec"].update(spec)
    worker = _named(state["deployments"], "worker")
    replicas = worker["spec"]["replicas"]
    worker["spec"]["replicas"] = max(min(spec.values()), min(max(spec.values()), replicas))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    folder = Path(sys.argv[0]).parent
    arguments = [a for a in sys.argv[1:] if not a.startswith(("--context=", "--namespace="))]
    with (folder / "calls").open("a") as calls:
        calls.write(f"{json.dumps(arguments)}\n")
    file = folder / "cluster.json"
    state = json.loads(file.read_text())
    if arguments[0] in state.get("slow", ()):
        time.sleep(5)
    if arguments[0] == "port-forward":
        _say(f"Forwarding from 127.0.0.1:{arguments[2]}")
        if state.get("forwards_end"):
            _say("error: lost connection to pod")
        time.sleep(60)
    hangs = arguments[0] in state.get("hangs", ())
    answer = _answer(state, arguments)
    _write(file, state)
    if hangs:
        time.sleep(60)
    if arguments[0] in state.get("fails", ()):
        sys.exit(f"error: {arguments[0]} is not for you")
    _say(answer)
