"""The page of `showattend app`: photos are captioned in a browser, with the viewer inside. Gradio (extra `app`) is imported here only."""

from showattend.app.models import ModelSet
from showattend.app.server import ServerOptions, serve

__all__ = ["ModelSet", "ServerOptions", "serve"]
