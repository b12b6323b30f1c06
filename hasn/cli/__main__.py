"""`python -m hasn.cli`, which torchrun starts with `-m hasn.cli`."""

from hasn.cli import main

if __name__ == "__main__":
    main()
