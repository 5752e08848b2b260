"""Start with `python -m activation_worker`."""

from activation_worker.main import main

if __name__ == "__main__":
    main()
