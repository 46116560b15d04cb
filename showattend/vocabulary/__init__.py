"""Tokens and their ids: tokenise captions, build a vocabulary, encode, decode, save, load."""

from showattend.vocabulary.subwords import BPE, Subwords
from showattend.vocabulary.tokenizers import TOKENIZERS, Choice, choose_tokenizer, find_tokenizer, join_tokens, token_label, tokenize
from showattend.vocabulary.vocabulary import END, FORBIDDEN_IDS, PAD, SPECIALS, START, UNKNOWN, Vocabulary

__all__ = [
    "BPE",
    "END",
    "FORBIDDEN_IDS",
    "PAD",
    "SPECIALS",
    "START",
    "TOKENIZERS",
    "UNKNOWN",
    "Choice",
    "Subwords",
    "Vocabulary",
    "choose_tokenizer",
    "find_tokenizer",
    "join_tokens",
    "token_label",
    "tokenize",
]
