"""Is there a package index that pip can reach?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache

#: A distribution of a few kilobytes that pytest itself needs, so that any index has it.
SMALL = "iniconfig"


@cache
def why_none() -> str:
    """Say why tests that need an index cannot run; nothing where they can. Asked once a session.

    It is pip that is asked, with the settings that the tests' own pip has, so that PIP_NO_INDEX,
    another index and proxies count; what it has fetched before does not.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
             "--disable-pip-version-check", "--retries", "0", "--timeout", "10", "--dest", folder,
             SMALL], capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return (f"no package index can be reached: pip cannot download {SMALL} "
            f"({lines[-1][len('ERROR: '):] if lines else f'status {done.returncode}'})")


if __name__ == "__main__":
    print(why_none())
