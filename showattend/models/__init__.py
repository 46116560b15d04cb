"""The captioning model in plain PyTorch: `decoder` is the paper's decoder, `caption_model` joins it to an encoder."""
