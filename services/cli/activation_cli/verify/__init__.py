"""`activation verify`: load and faults, and afterwards an account of every request.

A `schedule` is drawn from a seed for a scenario of `scenarios`; `load` carries out its requests and
`faults` its faults, on a `system` of processes with a `proxy` between every two, or on a
`release` in a cluster, by `kubectl`. Then the `accountant` compares what was asked for with the
store and with the handler's ledger, and `report` says what came out.
"""
