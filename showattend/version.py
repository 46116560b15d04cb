"""The version, where both the package and what it writes can read it without loading torch."""

__version__ = "0.1.0"
