"""How Sphinx builds this documentation: `make docs`, into build/docs.

Sphinx, because the reference is taken from docstrings, which are written in its notation already,
and because it can be told to take every warning for an error. MyST lets the pages that are written
by hand be Markdown, as the README is. Nothing is fetched, neither here nor by the pages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# for the extension beside this file
sys.path.insert(0, str(Path(__file__).parent))
# argparse breaks lines where the terminal ends, which must not decide what a page looks like
os.environ["COLUMNS"] = "80"

from ssdreg import __version__

project = "ssdreg"
author = "the authors of ssdreg"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "generated"]
# the glossary is a list of words and what they mean
myst_enable_extensions = ["deflist"]

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
