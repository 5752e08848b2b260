"""Decides what NetworkPolicies let through, as a network plugin does.

Source: Kubernetes, Network Policies, https://kubernetes.io/docs/concepts/services-networking/network-policies/.
Addresses (`ipBlock`) and expressions are left out: the chart has none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.manifests import Manifest, matches


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection: a pod, or with no namespace what is no pod at all."""

    namespace: str | None
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)  # by the names that its containers give


def allows(policies: Iterable[Manifest], source: Endpoint, target: Endpoint, port: int) -> bool:
    """Tell whether a TCP connection is let out of its source and into its target."""
    everything = list(policies)
    ways = (("Egress", "to", source, target), ("Ingress", "from", target, source))
    return all(
        not (chosen := chosen_by(everything, pod, direction))
        or any(
            _names_port(rule.get("ports"), target, port)
            and _names_peer(rule.get(peers), pod, other)
            for policy in chosen
            for rule in policy["spec"].get(direction.lower()) or []
        )
        for direction, peers, pod, other in ways
    )


def chosen_by(policies: Iterable[Manifest], pod: Endpoint, direction: str) -> list[Manifest]:
    """Return the policies for a pod; one without any is open to everything."""
    return [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"].get("matchLabels", {}), pod.labels)
    ]


def _names_port(ports: list[dict[str, Any]] | None, target: Endpoint, port: int) -> bool:
    return not ports or any(
        item.get("protocol", "TCP") == "TCP"
        and target.ports.get(item["port"], item["port"]) == port
        for item in ports
    )


def _names_peer(peers: list[dict[str, Any]] | None, pod: Endpoint, other: Endpoint) -> bool:
    return not peers or any(_is_peer(peer, pod, other) for peer in peers)


def _is_peer(peer: dict[str, Any], pod: Endpoint, other: Endpoint) -> bool:
    if other.namespace is None:
        return False
    namespaces = peer.get("namespaceSelector")
    if namespaces is None:
        near = other.namespace == pod.namespace
    else:
        near = matches(
            namespaces.get("matchLabels", {}), {"kubernetes.io/metadata.name": other.namespace}
        )
    return near and matches(peer.get("podSelector", {}).get("matchLabels", {}), other.labels)
