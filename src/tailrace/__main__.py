"""`python -m tailrace`."""

import sys

from tailrace.cli import main

if __name__ == "__main__":
    sys.exit(main())
