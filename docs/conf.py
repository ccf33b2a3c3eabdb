"""How Sphinx builds this documentation: `make docs`, into build/docs.

Sphinx, because the reference is taken from docstrings, which are written in its notation already,
and because it can be told to take every warning for an error. MyST lets the pages that are written
by hand be Markdown, as the README is. Nothing is fetched, neither here nor by the pages.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

# for the extension beside this file
sys.path.insert(0, str(Path(__file__).parent))
# argparse breaks lines where the terminal ends, which must not decide what a page looks like
os.environ["COLUMNS"] = "80"

from ssdreg import __version__

# notebooks run with IPython as it comes, whatever settings there are at home, and what they pack is
# nobody's afterwards; below errors, what runs them only tells that it does
_beside = tempfile.TemporaryDirectory(prefix="ssdreg-docs-")
os.environ["IPYTHONDIR"] = str(Path(_beside.name, "ipython"))
os.environ["XDG_CACHE_HOME"] = str(Path(_beside.name, "cache"))
_profile = Path(os.environ["IPYTHONDIR"], "profile_default")
_profile.mkdir(parents=True)
(_profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n",
                                                      encoding="utf-8")
logging.getLogger("traitlets").setLevel(logging.ERROR)

project = "ssdreg"
author = "the authors of ssdreg"
version = release = __version__

# myst_nb brings myst_parser, and runs the notebooks among the pages
extensions = ["myst_nb", "sphinx.ext.autodoc", "generated"]
# the glossary is a list of words and what they mean
myst_enable_extensions = ["deflist"]

# what a notebook shows is what came out now; one that fails is an error
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

# `plan` in a docstring is a name, linked where it is known
default_role = "py:obj"
# --help must not become a dash and help
smartquotes = False
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
# links to a heading: page.md#its-words
myst_heading_anchors = 3

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_title = f"ssdreg {version}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
