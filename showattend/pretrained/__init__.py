"""A finished model as a folder that needs nothing else: weights, vocabulary, preprocessing, configuration, metrics, a model card."""

from showattend.pretrained.folder import Pretrained
from showattend.pretrained.hub import find_model_folder, push_to_hub
from showattend.pretrained.loading import empty_weights, load_pretrained, read_word_tokenizer
from showattend.pretrained.saving import save_pretrained

__all__ = ["Pretrained", "empty_weights", "find_model_folder", "load_pretrained", "push_to_hub", "read_word_tokenizer", "save_pretrained"]
