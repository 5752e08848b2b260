"""Start with `python -m activation_cli.local`."""

from activation_cli.local.command import app

if __name__ == "__main__":
    app(prog_name="python -m activation_cli.local")
