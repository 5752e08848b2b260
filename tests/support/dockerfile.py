"""The stages of a Dockerfile and what they say, as far as tests ask."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """What stands from one FROM to the next."""

    base: str
    lines: list[tuple[str, str]] = field(default_factory=list)  # instruction, its arguments

    def arguments(self, instruction: str) -> list[str]:
        """Return the arguments of each line with this instruction."""
        return [arguments for name, arguments in self.lines if name == instruction]


@dataclass(frozen=True)
class Dockerfile:
    """Stages by name."""

    stages: dict[str, Stage]

    def inherited(self, stage: str) -> Iterator[Stage]:
        """Return the stage and those it builds on, the nearest first."""
        while stage in self.stages:
            yield self.stages[stage]
            stage = self.stages[stage].base

    def last(self, stage: str, instruction: str) -> str:
        """Return the arguments that hold for a stage: its own, else those it inherits."""
        return next(
            found[-1] for each in self.inherited(stage) if (found := each.arguments(instruction))
        )

    def entrypoint(self, stage: str) -> list[str]:
        """Return the words of the command, which must be in exec form."""
        words: list[str] = json.loads(self.last(stage, "ENTRYPOINT"))
        return words

    def copied(self) -> set[str]:
        """Return what any stage takes from the build context by COPY."""
        return {
            source
            for stage in self.stages.values()
            for arguments in stage.arguments("COPY")
            if "--from=" not in arguments
            for source in [word for word in arguments.split() if word[:2] != "--"][:-1]
        }


def read_dockerfile(path: Path) -> Dockerfile:
    """Read the stages of a Dockerfile; each must have a name."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            stages[name] = Stage(base)
        elif line and stages:
            list(stages.values())[-1].lines.append((instruction, arguments))
    return Dockerfile(stages)
