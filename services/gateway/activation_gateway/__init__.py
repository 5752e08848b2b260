"""The gateway: the HTTP API, the relay that publishes, and the reaper."""
