"""The Tiltfile, evaluated as Starlark with functions that only note what they are asked for.

The functions, and of their parameters those that we use, are Tilt's: https://docs.tilt.dev/api.html.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import starlark
import yaml

from tests.support.observability import read_stack

TILTFILE: Final = Path(__file__).parents[2] / "Tiltfile"

# Tilt's modules, made of functions that have no dot in their name here.
_MODULES: Final = """
os = struct(getenv=os_getenv, path=struct(exists=os_path_exists))
config = struct(
    tilt_subcommand=tilt_subcommand, define_bool=config_define_bool, parse=config_parse
)
"""


@dataclass(frozen=True)
class Image:
    """What `docker_build` was told."""

    context: str
    target: str
    live_update: Sequence[tuple[str, Any]]  # the step's name, its argument


@dataclass
class Resource:
    """What `k8s_resource` or `local_resource` was told."""

    labels: list[str]
    objects: list[str] = field(default_factory=list)
    port_forwards: Mapping[str, Any] = field(default_factory=dict)
    resource_deps: list[str] = field(default_factory=list)
    workload: str = ""
    command: list[str] = field(default_factory=list)
    auto_init: bool = True
    trigger_mode: str = "auto"


@dataclass
class Evaluation:
    """The world of one evaluation, and what it asked for.

    Args:
        rendered: What `helm template` prints.
        subcommand: That of Tilt: up, ci, down.
        environment: The variables.
        present: The paths that exist.
        flags: What stands behind `--`, as in `tilt up -- --observability`.
    """

    rendered: str
    subcommand: str = "up"
    environment: Mapping[str, str] = field(default_factory=dict)
    present: frozenset[str] = frozenset({"charts/activation/charts"})
    flags: frozenset[str] = frozenset()

    contexts: list[str] = field(default_factory=list, init=False)
    images: dict[str, Image] = field(default_factory=dict, init=False)
    ran: list[list[str]] = field(default_factory=list, init=False)
    watched: list[str] = field(default_factory=list, init=False)
    applied: list[dict[str, Any]] = field(default_factory=list, init=False)  # by Tilt
    outside: list[dict[str, Any]] = field(default_factory=list, init=False)  # by kubectl
    resources: dict[str, Resource] = field(default_factory=dict, init=False)
    defined: set[str] = field(default_factory=set, init=False)  # flags

    def run(self) -> "Evaluation":
        """Evaluate the Tiltfile.

        Raises:
            starlark.StarlarkError: Tilt would refuse it, too: bad syntax, an unknown function or
                parameter, a name that means nothing.
        """
        module = starlark.Module()
        module["tilt_subcommand"] = self.subcommand
        module["TRIGGER_MODE_MANUAL"] = "manual"
        for function in (
            self.allow_k8s_contexts,
            self.config_define_bool,
            self.config_parse,
            self.decode_yaml_stream,
            self.docker_build,
            self.encode_yaml_stream,
            self.fall_back_on,
            self.k8s_context,
            self.k8s_resource,
            self.k8s_yaml,
            self.kustomize,
            self.local,
            self.local_resource,
            self.os_getenv,
            self.os_path_exists,
            self.port_forward,
            self.sync,
            self.watch_file,
        ):
            module.add_callable(function.__name__, function)
        dialect = starlark.Dialect.standard()
        dialect.enable_top_level_stmt = True
        names = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
        for name, text in (("modules", _MODULES), ("Tiltfile", TILTFILE.read_text())):
            starlark.eval(module, starlark.parse(name, text, dialect), names)
        return self

    def allow_k8s_contexts(self, contexts: str) -> None:
        self.contexts.append(contexts)

    def config_define_bool(self, name: str) -> None:
        self.defined.add(name)

    def config_parse(self) -> dict[str, bool]:
        """Return the flags that are given; Tilt refuses one that is not defined."""
        if undefined := self.flags - self.defined:
            raise ValueError(f"flags that the Tiltfile does not define: {undefined}")
        return dict.fromkeys(self.flags, True)

    def kustomize(self, path_to_dir: str) -> str:
        return self.encode_yaml_stream(read_stack(path_to_dir))

    def os_getenv(self, key: str, default: str) -> str:
        return self.environment.get(key, default)

    def os_path_exists(self, path: str) -> bool:
        return path in self.present

    def k8s_context(self) -> str:
        return "kind-of-test"

    def local(self, command: list[str], *, stdin: str = "", quiet: bool = False) -> str:
        self.ran.append(command)
        if "apply" in command:
            self.outside += self.decode_yaml_stream(stdin)
        return self.rendered if command[:2] == ["helm", "template"] else ""

    def watch_file(self, file_path: str) -> None:
        self.watched.append(file_path)

    def decode_yaml_stream(self, text: str) -> list[Any]:
        return [each for each in yaml.safe_load_all(text) if each]

    def encode_yaml_stream(self, values: list[Any]) -> str:
        return yaml.safe_dump_all(values)

    def k8s_yaml(self, text: str) -> None:
        self.applied += self.decode_yaml_stream(text)

    def sync(self, local_path: str, remote_path: str) -> tuple[str, Any]:
        return ("sync", (local_path, remote_path))

    def fall_back_on(self, files: str | list[str]) -> tuple[str, Any]:
        return ("fall_back_on", [files] if isinstance(files, str) else files)

    def docker_build(
        self, ref: str, context: str, *, target: str, live_update: Sequence[tuple[str, Any]]
    ) -> None:
        self.images[ref] = Image(context, target, live_update)

    def port_forward(
        self, local_port: int, container_port: int, *, name: str, link_path: str = ""
    ) -> Mapping[str, Any]:
        return {"local": local_port, "container": container_port}

    def k8s_resource(
        self,
        workload: str = "",
        new_name: str = "",
        *,
        labels: list[str],
        objects: Sequence[str] = (),
        port_forwards: Mapping[str, Any] | None = None,
        resource_deps: Sequence[str] = (),
        trigger_mode: str = "auto",
    ) -> None:
        self.resources[new_name or workload] = Resource(
            labels,
            list(objects),
            port_forwards or {},
            list(resource_deps),
            workload,
            trigger_mode=trigger_mode,
        )

    def local_resource(
        self,
        name: str,
        cmd: list[str],
        *,
        labels: list[str],
        auto_init: bool = True,
        trigger_mode: str = "auto",
        resource_deps: Sequence[str] = (),
    ) -> None:
        self.resources[name] = Resource(
            labels,
            resource_deps=list(resource_deps),
            command=cmd,
            auto_init=auto_init,
            trigger_mode=trigger_mode,
        )
