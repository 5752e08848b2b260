"""The check of Pod Security itself: it accepts a good pod, and each rule finds its fault."""

import copy
from typing import Any, Final

import pytest

from tests.support.pod_security import RULES, violations

CONTEXT: Final = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
GOOD: Final = {
    "containers": [{"name": "main", "securityContext": CONTEXT}],
    "volumes": [{"name": "scratch", "emptyDir": {}}],
}
OF_CONTAINER: Final = [
    ("HostProcess", {"windowsOptions": {"hostProcess": True}}),
    ("Privileged Containers", {"privileged": True}),
    ("AppArmor", {"appArmorProfile": {"type": "Unconfined"}}),
    ("SELinux", {"seLinuxOptions": {"type": "spc_t"}}),
    ("SELinux", {"seLinuxOptions": {"role": "sysadm_r"}}),
    ("/proc Mount Type", {"procMount": "Unmasked"}),
    ("Privilege Escalation", {"allowPrivilegeEscalation": True}),
    ("Running as Non-root", {"runAsNonRoot": False}),
    ("Running as Non-root user", {"runAsUser": 0}),
    ("Seccomp", {"seccompProfile": {"type": "Unconfined"}}),
    ("Capabilities", {"capabilities": {"drop": ["NET_RAW"]}}),
    ("Capabilities", {"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}}),
]
OF_POD: Final = [
    ("Host Namespaces", {"hostNetwork": True}),
    ("Host Namespaces", {"hostPID": True}),
    ("Running as Non-root", {"securityContext": {"runAsNonRoot": False}}),
    ("Seccomp", {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
    ("Sysctls", {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
    ("Volume Types", {"volumes": [{"name": "docker", "hostPath": {"path": "/run"}}]}),
    ("Host Ports", {"containers": [{**GOOD["containers"][0], "ports": [{"hostPort": 80}]}]}),
    (
        "Host Probes / Lifecycle Hooks",
        {"containers": [{**GOOD["containers"][0], "livenessProbe": {"httpGet": {"host": "a"}}}]},
    ),
]


def rules_of(found: list[str]) -> set[str]:
    return {line.split(":")[0] for line in found}


def test_good_pod_violates_nothing() -> None:
    """What a pod must have is enough."""
    assert violations(GOOD) == []


def test_pod_may_say_it_for_its_containers() -> None:
    """User and seccomp profile of the pod hold for a container that says nothing."""
    spec: dict[str, Any] = copy.deepcopy(GOOD)
    for key in ("runAsNonRoot", "seccompProfile"):
        spec.setdefault("securityContext", {})[key] = spec["containers"][0]["securityContext"].pop(
            key
        )

    assert violations(spec) == []


@pytest.mark.parametrize("kind", ["initContainers", "containers"])
@pytest.mark.parametrize(("rule", "fault"), OF_CONTAINER)
def test_fault_of_a_container_is_found(rule: str, fault: dict[str, Any], kind: str) -> None:
    """One rule names it, wherever the container stands, and no other rule does."""
    bad = {"name": "bad", "securityContext": {**CONTEXT, **fault}}

    found = violations({**GOOD, kind: [bad]})

    assert rules_of(found) == {rule}


@pytest.mark.parametrize(("rule", "fault"), OF_POD)
def test_fault_of_a_pod_is_found(rule: str, fault: dict[str, Any]) -> None:
    """One rule names it, and no other does."""
    assert rules_of(violations({**GOOD, **fault})) == {rule}


def test_fault_in_an_annotation_is_found() -> None:
    """AppArmor's older way is not forgotten."""
    key = "container.apparmor.security.beta.kubernetes.io/main"

    assert rules_of(violations(GOOD, {key: "unconfined"})) == {"AppArmor"}


def test_every_rule_was_tried() -> None:
    """No rule of the check is without a fault that it finds."""
    assert {rule for rule, _ in [*OF_CONTAINER, *OF_POD]} == RULES.keys()
