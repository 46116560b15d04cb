"""Tokens and their ids: tokenise captions, build a vocabulary, encode, decode, save, load."""

from showattend.vocabulary.tokenizers import TOKENIZERS, Choice, choose_tokenizer, find_tokenizer, join_tokens, tokenize
from showattend.vocabulary.vocabulary import END, PAD, SPECIALS, START, UNKNOWN, Vocabulary

__all__ = [
    "END",
    "PAD",
    "SPECIALS",
    "START",
    "TOKENIZERS",
    "UNKNOWN",
    "Choice",
    "Vocabulary",
    "choose_tokenizer",
    "find_tokenizer",
    "join_tokens",
    "tokenize",
]
