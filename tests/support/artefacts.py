"""What is kept of a cluster when a test has failed."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from tests.support.kube import OURS, Kube, Manifest, name_of
from tests.support.programs import ProgramError

Texts = dict[str, str]
"""The content of files, by name."""

_KEPT: Final = {
    "pods.txt": ("get", "pods", "--output=wide"),
    "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
    "describe.txt": ("describe", "pods,scaledobjects,hpa,networkpolicies,pvc"),
    "scaledobjects.yaml": ("get", "scaledobjects", "--output=yaml"),
}


async def collect(kube: Kube) -> Texts:
    """Return the state of the tests' namespaces, and of KEDA's, in a folder each."""
    texts: Texts = {}
    found = await kube.find("namespaces", OURS)
    for namespace in [*map(name_of, found), "keda"]:
        for name, text in (await _state(kube.within(namespace))).items():
            texts[f"{namespace}/{name}"] = text
    return texts


def write(texts: Texts, folder: Path) -> None:
    """Write the files into a folder."""
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


async def _state(kube: Kube) -> Texts:
    texts = {name: await _or_why_not(kube.run(*command)) for name, command in _KEPT.items()}
    texts["manifest.yaml"] = await _or_why_not(kube.helm("get", "manifest", "activation"))
    for pod in await kube.find("pods"):
        texts |= await _logs(kube, pod)
    return texts


async def _logs(kube: Kube, pod: Manifest) -> Texts:
    texts: Texts = {}
    for status in pod["status"].get("containerStatuses", []):
        logs = ("logs", name_of(pod), f"--container={status['name']}")
        name = f"{name_of(pod)}-{status['name']}"
        texts[f"{name}.log"] = await _or_why_not(kube.run(*logs))
        if status["restartCount"]:
            texts[f"{name}.previous.log"] = await _or_why_not(kube.run(*logs, "--previous"))
    return texts


async def _or_why_not(text: Awaitable[str]) -> str:
    """Return an answer, or why there is none: one that fails must not hide the others."""
    try:
        return await text
    except ProgramError as error:
        return str(error)
