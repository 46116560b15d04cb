"""Names of the files that make an exported model a page."""

from showattend.export.ort_web import FILES

ASSETS = ("index.html", "page.css", "page.js", "captioner.js", "preprocess.js")
VIEWER = ("viewer.css", "viewer.js")
OPTIONS = "page.json"
PAGE_FILES = (*ASSETS, *VIEWER, OPTIONS, *FILES)
