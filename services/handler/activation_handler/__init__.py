"""A mock provisioning system: scripted latency and faults, and a ledger of every call."""
