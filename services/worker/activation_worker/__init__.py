"""The worker: consumes tasks, calls the handler, stores the results."""
