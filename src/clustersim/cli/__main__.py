"""`python -m clustersim.cli`."""

import sys

from clustersim.cli import main

if __name__ == "__main__":
    sys.exit(main())
