"""Exported models at work without torch: NumPy and onnxruntime alone."""

from showattend.runtime.captioner import ExportedCaptioner
from showattend.runtime.contract import Contract, ExportedModel, Graph, TensorSpec, read_exported

__all__ = ["Contract", "ExportedCaptioner", "ExportedModel", "Graph", "TensorSpec", "read_exported"]
