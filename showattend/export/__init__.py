"""Trained models for other runtimes: graphs of ONNX or torch.export, and a page that captions in a browser."""

from showattend.export.folder import check_export, export_model
from showattend.export.web_page import export_page

__all__ = ["check_export", "export_model", "export_page"]
