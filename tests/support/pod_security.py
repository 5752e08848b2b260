"""The profile *restricted* of Pod Security, for pods that are only written down yet.

Source: Kubernetes, Pod Security Standards, https://kubernetes.io/docs/concepts/security/pod-security-standards/.
The rules have the names that they have there; those of *baseline* that a stricter rule of
*restricted* covers are left out.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

Spec = dict[str, Any]
Rule = Callable[[Spec], Iterator[str]]

PROFILES: Final = {"RuntimeDefault", "Localhost"}
SELINUX_TYPES: Final = {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}


def violations(spec: Spec, annotations: dict[str, str] | None = None) -> list[str]:
    """Return what *restricted* forbids in a pod, each with the name of its rule."""
    found = [f"{name}: {what}" for name, rule in RULES.items() for what in rule(spec)]
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    for key, value in (annotations or {}).items():
        if key.startswith(prefix) and not value.startswith(("runtime/default", "localhost/")):
            found.append(f"AppArmor: {key}={value}")
    return found


def _containers(spec: Spec) -> list[Spec]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind) or []]


def _context(part: Spec) -> Spec:
    context: Spec = part.get("securityContext") or {}
    return context


def _contexts(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """Return the pod's own security context, then those of its containers."""
    yield "pod", _context(spec)
    for container in _containers(spec):
        yield container["name"], _context(container)


def _host_process(spec: Spec) -> Iterator[str]:
    for name, context in _contexts(spec):
        if context.get("windowsOptions", {}).get("hostProcess"):
            yield name


def _host_namespaces(spec: Spec) -> Iterator[str]:
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))


def _privileged(spec: Spec) -> Iterator[str]:
    for name, context in _contexts(spec):
        if context.get("privileged"):
            yield name


def _host_ports(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield container["name"]


def _host_in_probes(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        hooks = container.get("lifecycle", {})
        actions = [
            container.get(f"{kind}Probe", {}) for kind in ("liveness", "readiness", "startup")
        ]
        actions += [hooks.get("postStart", {}), hooks.get("preStop", {})]
        if any(
            action.get(way, {}).get("host")
            for action in actions
            for way in ("httpGet", "tcpSocket")
        ):
            yield container["name"]


def _app_armor(spec: Spec) -> Iterator[str]:
    for name, context in _contexts(spec):
        if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
            yield name


def _selinux(spec: Spec) -> Iterator[str]:
    for name, context in _contexts(spec):
        options = context.get("seLinuxOptions", {})
        if options.get("user") or options.get("role"):
            yield f"{name}: user or role"
        if options.get("type") and options["type"] not in SELINUX_TYPES:
            yield f"{name}: type {options['type']}"


def _proc_mount(spec: Spec) -> Iterator[str]:
    for name, context in _contexts(spec):
        if context.get("procMount", "Default") != "Default":
            yield name


def _sysctls(spec: Spec) -> Iterator[str]:
    for sysctl in _context(spec).get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield sysctl["name"]


def _volume_types(spec: Spec) -> Iterator[str]:
    for volume in spec.get("volumes") or []:
        if not volume.keys() & VOLUMES:
            yield volume["name"]


def _privilege_escalation(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        if _context(container).get("allowPrivilegeEscalation") is not False:
            yield container["name"]


def _running_as_non_root(spec: Spec) -> Iterator[str]:
    yield from _set_wrongly_or_nowhere(spec, "runAsNonRoot", lambda value: value is True)


def _running_as_non_root_user(spec: Spec) -> Iterator[str]:
    for name, context in _contexts(spec):
        if context.get("runAsUser") == 0:
            yield name


def _seccomp(spec: Spec) -> Iterator[str]:
    yield from _set_wrongly_or_nowhere(
        spec, "seccompProfile", lambda profile: bool(profile) and profile["type"] in PROFILES
    )


def _set_wrongly_or_nowhere(spec: Spec, key: str, allowed: Callable[[Any], bool]) -> Iterator[str]:
    of_pod = _context(spec).get(key)
    for name, context in _contexts(spec):
        value = context.get(key, of_pod)
        left_to_containers = name == "pod" and value is None
        if not allowed(value) and not left_to_containers:
            yield name


def _capabilities(spec: Spec) -> Iterator[str]:
    for container in _containers(spec):
        capabilities = _context(container).get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{container['name']} does not drop ALL"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{container['name']} adds {capabilities['add']}"


RULES: Final[dict[str, Rule]] = {
    "HostProcess": _host_process,
    "Host Namespaces": _host_namespaces,
    "Privileged Containers": _privileged,
    "Host Ports": _host_ports,
    "Host Probes / Lifecycle Hooks": _host_in_probes,
    "AppArmor": _app_armor,
    "SELinux": _selinux,
    "/proc Mount Type": _proc_mount,
    "Sysctls": _sysctls,
    "Volume Types": _volume_types,
    "Privilege Escalation": _privilege_escalation,
    "Running as Non-root": _running_as_non_root,
    "Running as Non-root user": _running_as_non_root_user,
    "Seccomp": _seccomp,
    "Capabilities": _capabilities,
}
