"""kubectl: asked as a program, with a deadline on every call."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any, Final

from activation_cli.exits import CommandError, Exit

Manifest = dict[str, Any]

FIELD_MANAGER: Final = "activation-verify"  # by which Kubernetes knows what we have changed

_CALL_S: Final = 30.0
_TRIES: Final = 4
_PAUSE_S: Final = 2.0


class Kubectl:
    """A namespace of a cluster.

    Every method may raise `CommandError`: kubectl is missing, refuses, or gives no answer in time.

    Attributes:
        context: Which cluster. Every call names it: the current one may change during a run.
        namespace: Where objects are looked for.
    """

    def __init__(self, context: str, namespace: str) -> None:
        self.context = context
        self.namespace = namespace

    async def run(self, *arguments: str, limit_s: float = _CALL_S) -> str:
        """Run a command to its end, and return what it printed."""
        return await _run(*self._scope, *arguments, limit_s=limit_s)

    async def find(self, kind: str, selector: str = "") -> list[Manifest]:
        """Return the objects of a kind with certain labels."""
        answer = await self.run("get", kind, f"--selector={selector}", "--output=json")
        found: list[Manifest] = json.loads(answer)["items"]
        return found

    async def has_kind(self, group: str, kind: str) -> bool:
        """Tell whether the cluster knows a kind of objects, by its plural name and its group."""
        known = await self.run("api-resources", f"--api-group={group}", "--output=name")
        return f"{kind}.{group}" in known.split()

    async def mend(self, *arguments: str) -> None:
        """Run a command that puts back what was changed; tried again if it fails.

        Raises:
            CommandError: It went wrong each time. The message says what is left to be run.
        """
        for left in reversed(range(_TRIES)):
            try:
                await self.run(*arguments)
            except CommandError as error:
                if not left:
                    by_hand = " ".join(("kubectl", *self._scope, *arguments))
                    raise CommandError(f"{error}; run this: {by_hand}", error.code) from error
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def disown(self, kind: str, name: str) -> None:
        """Forget that we have changed an object, which is as it was.

        Else the next upgrade of its release would meet a conflict with us (Kubernetes
        documentation, "Server-Side Apply", "Conflicts").
        """
        for left in reversed(range(_TRIES)):
            shown = await self.run("get", kind, name, "--show-managed-fields", "--output=json")
            entries = json.loads(shown)["metadata"].get("managedFields", [])
            managers = [entry.get("manager") for entry in entries]
            if FIELD_MANAGER not in managers:
                return
            entry = f"/metadata/managedFields/{managers.index(FIELD_MANAGER)}"
            steps = (
                {"op": "test", "path": f"{entry}/manager", "value": FIELD_MANAGER},
                {"op": "remove", "path": entry},
            )
            try:
                await self.run("patch", kind, name, "--type=json", f"--patch={json.dumps(steps)}")
            except CommandError:  # others have changed the object meanwhile
                if not left:
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def start(self, *arguments: str) -> Process:
        """Start a command that goes on until it is killed; its errors come with what it prints."""
        return await _start(*self._scope, *arguments, together=True)

    @property
    def _scope(self) -> tuple[str, ...]:
        return (f"--context={self.context}", f"--namespace={self.namespace}")


async def current(namespace: str | None) -> Kubectl:
    """Return a namespace of the cluster that kubectl is set to; None for the one it is set to.

    Raises:
        CommandError: kubectl is missing, or is set to none.
    """
    answer = await _run("config", "view", "--minify", "--output=json", limit_s=_CALL_S)
    view = json.loads(answer)
    [entry] = view["contexts"]
    return Kubectl(entry["name"], namespace or entry["context"].get("namespace", "default"))


async def _run(*arguments: str, limit_s: float) -> str:
    process = await _start(*arguments)
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate()
    except TimeoutError as error:
        said = f"kubectl {_short(arguments)}: no end after {limit_s:g} s"
        raise CommandError(said, Exit.UNREACHABLE) from error
    finally:
        await end(process)
    if process.returncode != 0:
        said = err.decode(errors="replace").strip() or f"left with {process.returncode}"
        raise CommandError(f"kubectl {_short(arguments)}: {said}", Exit.UNREACHABLE)
    return out.decode(errors="replace")


async def _start(*arguments: str, together: bool = False) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT if together else PIPE,
            process_group=0,  # Ctrl-C is for us alone: what was changed has to be mended
        )
    except OSError as error:
        said = f"--kubernetes needs kubectl on the PATH: {error.strerror}"
        raise CommandError(said, Exit.USAGE) from error


def output(process: Process) -> asyncio.StreamReader:
    """Return what a command prints."""
    if process.stdout is None:
        raise RuntimeError("kubectl is started with a pipe")
    return process.stdout


async def end(process: Process) -> None:
    """Kill a command that has not ended."""
    if process.returncode is None:
        process.kill()
        await process.wait()


def _short(arguments: tuple[str, ...]) -> str:
    return " ".join(one for one in arguments if not one.startswith("--"))
