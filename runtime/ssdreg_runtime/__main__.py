"""``python -m ssdreg_runtime`` is ``ssdreg-detect``."""

import sys

from ssdreg_runtime.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
