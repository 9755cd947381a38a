"""`python -m longshot` is the same program as `longshot`."""

from longshot.cli import main

if __name__ == "__main__":
    main()
