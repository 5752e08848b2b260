"""Dashboards, recording rules and alerts, written in Python; `make generate` writes them out."""
