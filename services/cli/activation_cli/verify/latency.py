"""How long requests took before, during and after each fault."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """A fault as it came, in seconds after the load began."""

    name: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What one request took.

    Attributes:
        at_s: When it was first sent, in seconds after the load began.
        answer_s: From then to the answer that accepted it; None if there was none.
        end_s: From its acceptance to the end of its task; None if there is none.
    """

    at_s: float
    answer_s: float | None
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution of seconds."""

    count: int
    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time, and what the requests took that were sent in it.

    Attributes:
        name: `before` the first fault, `during` one, or `after` it until the next.
        fault: Which fault; None before the first.
        answer: From sending to the answer that accepts; None without requests.
        end: From acceptance to the end of the task; None without tasks.
    """

    name: str
    fault: str | None
    begin_s: float
    end_s: float
    answer: Quantiles | None
    end: Quantiles | None


def phases(samples: Sequence[Sample], spans: Iterable[Span]) -> list[Phase]:
    """Divide the time at the beginnings and ends of faults; faults that overlap are one."""
    borders: list[tuple[str, str | None, float]] = [("before", None, 0.0)]
    for span in _merged(spans):
        borders.append(("during", span.name, span.begin_s))
        borders.append(("after", span.name, span.end_s))
    found: list[Phase] = []
    for (name, fault, begin_s), (_, _, end_s) in pairwise([*borders, ("", None, math.inf)]):
        sent = [sample for sample in samples if begin_s <= sample.at_s < end_s]
        until_s = max((sample.at_s for sample in sent), default=begin_s)
        found.append(
            Phase(
                name,
                fault,
                begin_s,
                until_s if math.isinf(end_s) else end_s,
                answer=quantiles(sample.answer_s for sample in sent),
                end=quantiles(sample.end_s for sample in sent),
            )
        )
    return found


def quantiles(values: Iterable[float | None]) -> Quantiles | None:
    """Return the distribution of what is known, by the nearest rank; None of nothing."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Quantiles(len(known), _rank(known, 0.5), _rank(known, 0.99), known[-1])


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.begin_s):
        if merged and span.begin_s <= merged[-1].end_s:
            last = merged[-1]
            name = f"{last.name}; {span.name}"
            merged[-1] = Span(name, last.begin_s, max(last.end_s, span.end_s))
        else:
            merged.append(span)
    return merged
