"""Writes the plot and the tables of `bench/README.md` from `results.json`."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->"
OURS, BARE = "#1f6feb", "#9aa4b2"
INSERT, ROUTE, LOOP = "bare FastAPI and insert", "bare FastAPI route", "bare aio-pika loop"
SYSTEM = "bare aio-pika, asyncpg"

Results = dict[str, Any]


def tables(found: Results) -> str:
    """Return the results as Markdown."""
    accept, drain, low = found["accept"], found["drain"], found["low_load"]
    traced, alone = found["telemetry"]["accept"], found["telemetry"]["low_load"]
    lines = [
        _machine(found["machine"]),
        "",
        "| one process, 64 clients | POST/s | of route | of insert | p50 ms | p99 ms | CPU µs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {run['per_s']:,.0f} | {run['per_s'] / accept[ROUTE]['per_s']:.2f} "
            f"| {run['per_s'] / accept[INSERT]['per_s']:.2f} "
            f"| {run['p50_ms']:.1f} | {run['p99_ms']:.1f} | {run['cpu_us']:.0f} |"
            for name, run in accept.items()
        ),
        "",
        "| one worker, handler at 0 s | tasks/s | of the bare loop | CPU µs |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {run['per_s']:,.0f} | {run['per_s'] / drain[LOOP]['per_s']:.2f} "
            f"| {run['cpu_us']:.0f} |"
            for name, run in drain.items()
        ),
        "",
        "| one worker | seconds for all | calls in flight at most | its memory at its peak, MiB |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {run['seconds']:.1f} | {run['most']:,.0f} | {run['peak_mib']:.0f} |"
            for name, run in found["in_flight"].items()
        ),
        "",
        "| one task at a time, handler at 0 s | to visible result, p50 ms | of bare | p99 ms |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {run['p50_ms']:.1f} | {run['p50_ms'] / low[SYSTEM]['p50_ms']:.2f} "
            f"| {run['p99_ms']:.1f} |"
            for name, run in low.items()
        ),
        "",
        "| telemetry, on PostgreSQL | POST/s | of off | CPU µs | one task alone, p50 ms | of off |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {run['per_s']:,.0f} | {run['per_s'] / traced['off']['per_s']:.2f} "
            f"| {run['cpu_us']:.0f} | {alone[name]['p50_ms']:.1f} "
            f"| {alone[name]['p50_ms'] / alone['off']['p50_ms']:.2f} |"
            for name, run in traced.items()
        ),
        "",
        "Confirmed publishes, the limit of a relay: "
        + ", ".join(f"{run['per_s']:,.0f}/s ({name})" for name, run in found["publish"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cores']} cores, Python {machine['python']}, a disk that takes "
        f"{machine['fsync_ms']:.2f} ms to make 8 KiB durable (fdatasync); medians."
    )


def plot(found: Results) -> None:
    """Draw the rates beside their limits."""
    mpl.rcParams.update({"font.size": 9, "svg.hashsalt": "activation", "svg.fonttype": "none"})
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    _bars(left, "accepted POST/s, 64 clients", found["accept"], "per_s")
    left.axvline(found["accept"][INSERT]["per_s"], color="#d1242f", linewidth=1, linestyle="--")
    _bars(middle, "drained tasks/s, handler at 0 s", found["drain"], "per_s")
    middle.axvline(
        0.8 * found["drain"][LOOP]["per_s"], color="#d1242f", linewidth=1, linestyle="--"
    )
    _bars(right, "worker's memory at its peak, MiB", found["in_flight"], "peak_mib")
    figure.savefig(HERE / "results.svg", metadata={"Date": None})


def _bars(axes: Any, title: str, runs: dict[str, dict[str, float]], key: str) -> None:
    names = list(runs)
    values = [runs[name][key] for name in names]
    colours = [BARE if name.startswith("bare") else OURS for name in names]
    bars = axes.barh(range(len(names)), values, color=colours)
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=3)
    axes.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.22)
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    found = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + tables(found) + END + after, encoding="utf-8")
    plot(found)


if __name__ == "__main__":
    main()
