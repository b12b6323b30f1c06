"""`python -m hasn.cli`, which torchrun starts with `-m hasn.cli`."""

import sys

from hasn.cli import main

if __name__ == "__main__":
    sys.exit(main())
