"""``python -m ssdreg``: the same as the command ``ssdreg``."""

import sys

from ssdreg.cli.main import main

sys.exit(main())
