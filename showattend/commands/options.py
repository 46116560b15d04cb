"""What several commands take from their arguments."""

import argparse
from dataclasses import replace

from showattend.decoding import Search


def chosen_search(default: Search, parsed: argparse.Namespace) -> Search:
    """The model's way to search, with what the command line says otherwise."""
    chosen = {name: getattr(parsed, name) for name in ("beam", "max_length", "length_penalty")}
    return replace(default, **{name: value for name, value in chosen.items() if value is not None})
