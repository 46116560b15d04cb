"""Sphinx builds the site from these pages: `make docs`, then open docs/_build/html/index.html."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "extensions")]

from showattend.version import __version__  # noqa: E402

project = "showattend"
author = "the showattend contributors"
copyright = "2026, the showattend contributors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
    "bench_tables",
    "cell_pages",
    "field_legends",
    "live_demo",
    "live_viewer",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "runs", "extensions", "viewer"]
root_doc = "index"

# No page needs a network: equations are MathML, which browsers draw by themselves, and fonts are the reader's own.
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "showattend"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
