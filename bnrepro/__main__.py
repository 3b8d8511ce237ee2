"""`python -m bnrepro` is the same program as `bnrepro`."""

from bnrepro.cli import main

if __name__ == "__main__":
    main()
