"""Start with `python -m activation_handler`."""

from activation_handler.main import main

if __name__ == "__main__":
    main()
