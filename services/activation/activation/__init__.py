"""What the services of Activation share.

``domain`` says what a task is and which rules it follows, ``ports`` what the services need from the
outside; ``store``, ``broker`` and ``telemetry`` are the adapters.
"""
