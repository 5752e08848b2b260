"""Start with `python -m activation_gateway`."""

from activation_gateway.main import main

if __name__ == "__main__":
    main()
