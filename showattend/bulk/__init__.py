"""Captions for millions of photos: numbered units of work, each of which becomes one part of the output, with Ray or without it."""
