"""Ports for servers that are about to start."""

from activation_cli.local.ports import free_port


def test_no_port_is_given_twice() -> None:
    """Two servers of one system would get the same, one start in some hundreds."""
    ports = [free_port() for _ in range(500)]

    assert len(set(ports)) == len(ports)
