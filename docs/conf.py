"""Settings of Sphinx, which builds the documentation: `make docs`, into build/docs."""

from __future__ import annotations

import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes

import nbi_sampler

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "nbi-sampler"
release = version = nbi_sampler.__version__
copyright = "the nbi-sampler developers"

extensions = [
    "mathml",
    "myst_nb",
    "self_contained",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_design",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
html_math_renderer = "mathml"
# Notebooks are shown as docs/tutorials/execute.py has left them.
nb_execution_mode = "off"
myst_heading_anchors = 3

# Names in single backticks are links where Sphinx knows one thing of that name.
default_role = "py:obj"
suppress_warnings = ["ref.python"]

# Names that a file imports are documented in the file that they come from.
autodoc_default_options = {
    "members": True,
    "ignore-module-all": True,
    # scikit-learn's, on every estimator.
    "exclude-members": "set_fit_request, set_predict_request, set_score_request",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_context = {
    "folders": [
        each.name
        for each in pkgutil.walk_packages(nbi_sampler.__path__, "nbi_sampler.")
        if each.ispkg
    ]
}
napoleon_google_docstring = False
# Shapes stand where types do, and are no names to link to.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"nbi-sampler {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_search_scorer = str(Path(__file__).parent / "extensions" / "scorer.js")

STARRED = re.compile(r"(?<=[( ])\*(?=\w+[,)])")
NAME = re.compile(r"nbi_sampler(\.\w+)+")


def escape_stars(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Keep the star of a shape such as (n, *shape) from beginning italics."""
    for i, line in enumerate(lines):
        # What stands between double backticks is shown as it is.
        parts = line.split("``")
        parts[::2] = [STARRED.sub(r"\\*", part) for part in parts[::2]]
        lines[i] = "``".join(parts)


def skip_fields(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out fields of named tuples, which the docstrings of their classes describe."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def link_names(app: Sphinx, page: nodes.document) -> None:
    """Make links of full names in backticks, which read as well where Markdown is shown as it is."""
    for literal in list(page.findall(nodes.literal)):
        if NAME.fullmatch(literal.astext()) and not isinstance(
            literal.parent, addnodes.pending_xref
        ):
            target = {
                "refdomain": "py",
                "reftype": "obj",
                "reftarget": literal.astext(),
            }
            link = addnodes.pending_xref("", refexplicit=False, refwarn=False, **target)
            literal.replace_self(link)
            link += literal


def setup(app: Sphinx) -> None:
    """Before napoleon reads the docstrings, and once a page is read."""
    app.connect("autodoc-process-docstring", escape_stars, priority=400)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-read", link_names)
