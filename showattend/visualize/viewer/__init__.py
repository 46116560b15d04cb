"""The viewer: one HTML page with a photo and its caption, where touching a word lights up what the model looked at."""

from showattend.visualize.viewer.data import photo_data, viewer_data
from showattend.visualize.viewer.index import IndexEntry, index_page
from showattend.visualize.viewer.page import frame, notebook_html, viewer_frame, viewer_page

__all__ = ["IndexEntry", "frame", "index_page", "notebook_html", "photo_data", "viewer_data", "viewer_frame", "viewer_page"]
