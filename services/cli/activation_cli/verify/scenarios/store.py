"""PostgreSQL, and the ways to it, broken."""

from typing import Final

from activation_cli.verify import faults, promises
from activation_cli.verify.promises import all_succeed
from activation_cli.verify.proxy import BOTH_WAYS, Behaviour, Way
from activation_cli.verify.scenarios.scenario import Scenario, Timed
from activation_cli.verify.system import Link

_STORE: Final = (Link.GATEWAY_STORE, Link.WORKER_STORE)

STORE: Final = (
    Scenario(
        "store-restarted",
        "PostgreSQL is restarted",
        "requests wait for it; results are kept, and no call is repeated",
        (Timed(faults.store_restarted()),),
        (all_succeed, promises.nothing_is_called_again),
        needs_postgres=True,
    ),
    Scenario(
        "store-connections-terminated",
        "PostgreSQL ends all its connections, three times",
        "transactions are repeated, and calls are not",
        (Timed(faults.store_connections_terminated()),),
        (all_succeed, promises.nothing_is_called_again),
        needs_postgres=True,
    ),
    Scenario(
        "store-full-of-connections",
        "others take all connections that PostgreSQL has",
        "requests wait for one; results are kept, and no call is repeated",
        (Timed(faults.store_connections_taken(for_s=3.0)),),
        (all_succeed, promises.nothing_is_called_again),
        needs_postgres=True,
    ),
    Scenario(
        "store-full",
        "PostgreSQL refuses all writes, with the error of a full disk",
        "requests are answered 503 and none is lost; results are kept until they can be written",
        (Timed(faults.store_full(for_s=6.0)),),  # longer than a gateway is patient
        (all_succeed, promises.refused_with_503),
        needs_postgres=True,
    ),
    Scenario(
        "store-slow",
        "everything takes a tenth of a second longer to and from PostgreSQL",
        "it is only slow",
        (Timed(faults.behaving("PostgreSQL is slow", _STORE, Behaviour(delay_s=0.1), for_s=4.0)),),
        needs_postgres=True,
    ),
    Scenario(
        "store-black-holed",
        "nothing passes to and from PostgreSQL, and no connection ends",
        "results are kept until they can be written",
        (
            Timed(
                faults.behaving(
                    "PostgreSQL is a black hole", _STORE, Behaviour(swallows=BOTH_WAYS), for_s=3.0
                )
            ),
        ),
        needs_postgres=True,
    ),
    Scenario(
        "commit-unanswered",
        "commits reach PostgreSQL, and its answers are cut off",
        "what was committed is not done again",
        (
            Timed(
                faults.behaving(
                    "PostgreSQL's answers are cut off",
                    _STORE,
                    Behaviour(cut_after=(Way.TO_CLIENT, 0)),
                    for_s=1.5,
                )
            ),
        ),
        needs_postgres=True,
    ),
)
