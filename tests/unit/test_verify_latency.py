"""Latency before, during and after faults."""

from activation_cli.verify.latency import Quantiles, Sample, Span, phases, quantiles


def test_samples_belong_to_the_phase_in_which_they_were_sent() -> None:
    """A request during the fault counts there, whenever it ends."""
    samples = [Sample(1.0, 0.1, 1.0), Sample(2.5, 0.2, 9.0), Sample(2.6, None, None)]
    samples += [Sample(4.0, 0.4, 2.0)]

    before, during, after = phases(samples, [Span("a fault", 2.0, 3.0)])

    assert (before.name, before.fault, before.end) == ("before", None, Quantiles(1, 1.0, 1.0, 1.0))
    assert (during.name, during.fault, during.end) == (
        "during",
        "a fault",
        Quantiles(1, 9.0, 9.0, 9.0),
    )
    assert (after.name, after.answer) == ("after", Quantiles(1, 0.4, 0.4, 0.4))


def test_faults_that_overlap_are_one_phase() -> None:
    """What is slow then cannot be laid at the door of one of them."""
    spans = [Span("b", 3.0, 6.0), Span("a", 2.0, 4.0), Span("c", 8.0, 9.0)]

    assert [(phase.name, phase.fault, phase.begin_s) for phase in phases([], spans)] == [
        ("before", None, 0.0),
        ("during", "a; b", 2.0),
        ("after", "a; b", 6.0),
        ("during", "c", 8.0),
        ("after", "c", 9.0),
    ]


def test_without_faults_all_is_before() -> None:
    """One phase, from the beginning to the last request."""
    [only] = phases([Sample(7.0, 0.1, 0.2)], [])

    assert (only.name, only.begin_s, only.end_s) == ("before", 0.0, 7.0)


def test_quantiles_are_values_that_occurred() -> None:
    """The nearest rank, of what is known."""
    assert quantiles([]) is None
    assert quantiles([None]) is None
    assert quantiles([*range(1, 101), None]) == Quantiles(100, 50, 99, 100)
