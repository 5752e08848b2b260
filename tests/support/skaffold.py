"""skaffold.yaml as Skaffold reads it: profiles applied, keys known.

Source: https://skaffold.dev/docs/references/yaml/ (v4beta14) and /docs/environment/profiles/.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

SKAFFOLD_YAML: Final = Path(__file__).parents[2] / "skaffold.yaml"
PROFILES: Final[list[tuple[str, ...]]] = [
    (),
    ("dev",),
    ("production",),
    ("verify",),
    ("observability",),
    ("dev", "production"),
    ("dev", "observability"),
    ("production", "observability"),
]

Config = dict[str, Any]

_HOOKS: Final = "before after"
_PIPELINE: Final = "build test deploy manifests portForward resourceSelector verify customActions"

# The sections that we use, and all keys that the schema has for them. `[]` stands for each item.
KNOWN: Final = {
    "": f"apiVersion kind metadata requires profiles {_PIPELINE}",
    "metadata": "name labels annotations",
    "build": "artifacts insecureRegistries tagPolicy platforms hooks local cluster "
    "googleCloudBuild",
    "build.tagPolicy": "gitCommit sha256 envTemplate dateTime customTemplate inputDigest",
    "build.tagPolicy.inputDigest": "",
    "build.local": "push tryImportMissing useDockerCLI useBuildkit concurrency",
    "build.artifacts[]": "image context sync requires hooks platforms runtimeType docker bazel ko "
    "jib kaniko buildpacks custom",
    "build.artifacts[].docker": "dockerfile target buildArgs network addHost cacheFrom cliFlags "
    "pullParent noCache squash secrets ssh",
    "build.artifacts[].sync": "manual infer auto hooks",
    "build.artifacts[].sync.manual[]": "src dest strip",
    "manifests": "transform validate output rawYaml remoteManifests kustomize helm kpt hooks",
    "manifests.kustomize": "paths buildArgs",
    "deploy": "docker helm kpt kubectl cloudrun statusCheck statusCheckDeadlineSeconds "
    "tolerateFailuresUntilDeadline kubeContext logs",
    "deploy.kubectl": "flags remoteManifests defaultNamespace hooks",
    "deploy.kubectl.flags": "global apply delete disableValidation",
    "deploy.helm": "releases flags hooks concurrency",
    "deploy.helm.hooks": _HOOKS,
    "deploy.helm.hooks.before[]": "host container",
    "deploy.helm.hooks.before[].host": "command os dir",
    "deploy.helm.releases[]": "name chartPath remoteChart valuesFiles namespace version setValues "
    "setValueTemplates setFiles createNamespace wait recreatePods skipBuildDependencies skipTests "
    "useHelmSecrets repo upgradeOnChange overrides packaged dependsOn",
    "portForward[]": "resourceType resourceName namespace port address localPort",
    "verify[]": "name container executionMode timeout",
    "verify[].container": "name image command args env",
    "verify[].container.env[]": "name value",
    "verify[].executionMode": "local kubernetesCluster",
    "verify[].executionMode.kubernetesCluster": "overrides jobManifestPath",
    "profiles[]": f"name activation requiresAllActivations patches {_PIPELINE}",
    "profiles[].activation[]": "env kubeContext command",
    "profiles[].patches[]": "op path from value",
}
# Their keys are the chart's, or stand for themselves.
_FREE: Final = {
    "deploy.helm.releases[].setValues",
    "deploy.helm.releases[].setValueTemplates",
    "profiles[].patches[].value",
}


def read_config(*profiles: str) -> Config:
    """Read skaffold.yaml with these profiles on, in this order."""
    config: Config = yaml.safe_load(SKAFFOLD_YAML.read_text())
    by_name = {profile["name"]: profile for profile in config["profiles"]}
    for name in profiles:
        profile = copy.deepcopy(by_name[name])
        for section in set(profile) - {"name", "activation", "patches"}:
            config[section] = profile[section]
        for patch in profile.get("patches", []):
            _apply(patch, config)
    return config


def unknown_keys(node: Any, section: str = "") -> Iterator[str]:
    """Return the keys that the schema does not have; a section missing in `KNOWN` is one, too."""
    if section in _FREE or not isinstance(node, dict | list):
        return
    if isinstance(node, list):
        for item in node:
            yield from unknown_keys(item, f"{section}[]")
        return
    known = KNOWN.get(section, "").split()
    for key, value in node.items():
        # What a profile puts in place of a section follows the section's rules.
        inside = section == "profiles[]" and key in _PIPELINE.split()
        path = key if inside or not section else f"{section}.{key}"
        if key in known:
            yield from unknown_keys(value, path)
        else:
            yield path


def release(config: Config) -> Config:
    """Return the one Helm release that it installs."""
    (found,) = config["deploy"]["helm"]["releases"]
    return dict(found)


def _apply(patch: Config, config: Config) -> None:
    """Apply an add or replace of RFC 6902, which must change something that is there."""
    *way, last = patch["path"].strip("/").split("/")
    node: Any = config
    for step in way:
        node = node[_key(node, step)]
    if patch["op"] == "add" and last == "-":
        node.append(patch["value"])
        return
    key = _key(node, last)
    if patch["op"] == "replace":
        node[key]  # raises where there is nothing to replace
    elif patch["op"] != "add":
        raise ValueError(f"a patch of an unknown kind: {patch['op']}")
    node[key] = patch["value"]


def _key(node: Any, step: str) -> str | int:
    return int(step) if isinstance(node, list) else step


def nested(values: dict[str, Any]) -> Config:
    """Turn what `--set` takes (`a.b: c`) into values as in a file."""
    whole: Config = {}
    for path, value in values.items():
        *way, last = path.split(".")
        node = whole
        for step in way:
            node = node.setdefault(step, {})
        node[last] = value
    return whole


def chart_values(config: Config, tags: dict[str, str]) -> Config:
    """Return the values that Skaffold sets, with these tags for the images it built."""
    names = {re.sub(r"[/-]", "_", image): image for image in tags}

    def fill(template: str) -> Any:
        found = re.fullmatch(r"\{\{\.IMAGE_(REPO|TAG)_(\w+)\}\}", template)
        if not found:
            return yaml.safe_load(template)  # Helm reads "true" as a boolean, too
        image = names[found[2]]
        return image if found[1] == "REPO" else tags[image]

    templates = release(config).get("setValueTemplates", {})
    return nested(
        release(config).get("setValues", {})
        | {key: fill(template) for key, template in templates.items()}
    )
