"""The HTTP API of the gateway: `create_app` in `app` puts it together."""
