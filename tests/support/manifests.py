"""Kubernetes objects as they are written down, and what tests ask of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

Manifest = dict[str, Any]

# Where the pod template stands in each kind that makes pods.
POD_TEMPLATES: Final = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
# Where a pod's spec names another object: the key, the object's kind, and where its name stands.
REFERENCES: Final = [
    ("configMap", "ConfigMap", "name"),
    ("configMapRef", "ConfigMap", "name"),
    ("configMapKeyRef", "ConfigMap", "name"),
    ("secret", "Secret", "secretName"),
    ("secretRef", "Secret", "name"),
    ("secretKeyRef", "Secret", "name"),
]


class _UniqueKeyLoader(yaml.CSafeLoader):
    """Refuses a key that stands twice in a mapping; YAML does, PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                "in a mapping", node.start_mark, f"twice the same key: {twice}", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


@dataclass(frozen=True)
class PodTemplate:
    """A pod as its owner will make it."""

    owner: str  # kind/name
    metadata: Manifest
    spec: Manifest

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.metadata.get("labels") or {})

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.metadata.get("annotations") or {})

    @property
    def containers(self) -> list[Manifest]:
        """Those that prepare the pod included."""
        return [*(self.spec.get("initContainers") or []), *self.spec["containers"]]


def read_manifests(text: str) -> list[Manifest]:
    """Read the objects of a YAML stream; comments alone are none."""
    return [found for found in yaml.load_all(text, Loader=_UniqueKeyLoader) if found]


def identity(manifest: Manifest) -> str:
    """Return kind/name."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Return the objects of these kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def one(manifests: Iterable[Manifest], wanted: str) -> Manifest:
    """Return the object with this kind/name; there must be one."""
    (found,) = [manifest for manifest in manifests if identity(manifest) == wanted]
    return found


def pod_templates(manifests: Iterable[Manifest]) -> Iterator[PodTemplate]:
    """Return the pods that these objects make."""
    for manifest in manifests:
        if manifest["kind"] not in POD_TEMPLATES:
            continue
        template = manifest
        for key in POD_TEMPLATES[manifest["kind"]]:
            template = template[key]
        yield PodTemplate(identity(manifest), template.get("metadata", {}), template["spec"])


def references(spec: Manifest) -> Iterator[tuple[str, str | None]]:
    """Return the ConfigMaps and Secrets that a pod needs, as kind/name with the key it reads."""
    for mapping in _mappings(spec):
        for key, kind, name in REFERENCES:
            target = mapping.get(key)
            if isinstance(target, dict) and name in target and not target.get("optional"):
                yield f"{kind}/{target[name]}", target.get("key")


def _mappings(part: object) -> Iterator[Manifest]:
    """Return every mapping in a tree of mappings and lists."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _mappings(inner)


def matches(match_labels: dict[str, str], labels: dict[str, str]) -> bool:
    """Tell whether a selector's `matchLabels` chooses what has these labels."""
    return match_labels.items() <= labels.items()
