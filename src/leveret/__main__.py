"""`python -m leveret`: the command `leveret`, also where its script is not on the path."""

import sys

from leveret.cli.leveret import main

if __name__ == "__main__":
    sys.exit(main())
