"""Three sample activations, shown until they end."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from rich.console import Console
from rich.live import Live
from rich.table import Table

from activation.clock import Clock
from activation_cli import views
from activation_cli.client import Gateway
from activation_cli.documents import Task
from activation_cli.following import follow
from activation_cli.patience import Patience
from activation_cli.side_by_side import together
from activation_cli.wording import why

# The mock handler knows them by how they begin: one works, one is unknown, one fails.
WORKING: Final = "CPE000001"
_SAMPLES: Final = (WORKING, "DEV404001", "DEV500001")


async def show_samples(gateway: Gateway, console: Console, clock: Clock) -> str:
    """Submit the samples, show them until all have ended, and return the id of the working one.

    Raises:
        CommandError: The gateway refuses one or is out of reach.
    """
    tasks = [await _submit(gateway, equipment) for equipment in _SAMPLES]
    patience = Patience(console.print)

    async def watch(number: int) -> None:
        async for task in follow(gateway, tasks[number]["taskId"], patience=patience):
            show(number, task)

    with _shown(tasks, console, clock) as show:
        await together(*map(watch, range(len(tasks))))
    return tasks[_SAMPLES.index(WORKING)]["taskId"]


async def _submit(gateway: Gateway, equipment: str) -> Task:
    accepted = await gateway.submit(
        equipment, parameters={"config": "example"}, timeout_s=60, key=str(uuid4())
    )
    return await gateway.task(accepted["taskId"])


@contextmanager
def _shown(
    tasks: list[Task], console: Console, clock: Clock
) -> Iterator[Callable[[int, Task], None]]:
    """Draw a table anew while the tasks change; without a screen, print a line for each change."""

    def replace(number: int, task: Task) -> None:
        changed = tasks[number]["state"] != task["state"]
        tasks[number] = task
        if changed and not console.is_terminal:
            console.print(views.headline(task, clock.now()), soft_wrap=True)

    if not console.is_terminal:
        yield replace
        return
    with Live(get_renderable=lambda: _table(tasks, clock), console=console):
        yield replace


def _table(tasks: Iterable[Task], clock: Clock) -> Table:
    """Return a line for each task that fits on 80 columns, so without its id."""
    table = Table.grid(padding=(0, 2))
    for task in tasks:
        reason = why(task.get("reason"), task.get("detail"))
        table.add_row(task["equipment"], views.progress(task, clock.now()), reason)
    return table
