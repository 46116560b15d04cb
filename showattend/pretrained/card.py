"""The README.md of a model folder."""

from showattend.pretrained.folder import Pretrained
from showattend.version import __version__

TEMPLATE = """\
---
library_name: showattend
pipeline_tag: image-to-text
license: other
tags: [image-captioning, attention, recurrent-neural-network, {cell}]
---

# An image captioning model that shows where it looked

Show, attend and tell (Xu et al. 2015) with the recurrent cell `{cell}` on features of `{encoder}`.
Written by showattend {version}.

- Training data: {trained_on}
- Vocabulary: {words} tokens; lower case, no punctuation, split by `{tokenizer}`
- Photos: {image_size} pixels square, `{resize}`
- Captions: beam {beam}, length penalty {length_penalty}, at most {max_length} words

```python
from showattend import Captioner
print(Captioner.from_pretrained("this/folder").caption("photo.jpg"))
```

| metric (from 0 to 1) | value |
|---|---|
{metrics}

Captions follow what was probable in the training data and can be wrong about people, counts and everything rare; do not rely on
them where that matters. The weights come under the terms of the photos, captions and pretrained encoder that they were trained with.
"""


def model_card(model: Pretrained) -> str:
    """The card as Markdown, with the metadata that the Hugging Face Hub reads."""
    return TEMPLATE.format(
        cell=model.network.decoder.config.cell,
        encoder=model.network.encoder.config.name,
        version=__version__,
        trained_on=model.trained_on or "not recorded",
        words=len(model.vocabulary),
        tokenizer=model.vocabulary.tokenizer,
        image_size=model.preprocessing.image_size,
        resize=model.preprocessing.resize,
        beam=model.generation.beam,
        length_penalty=model.generation.length_penalty,
        max_length=model.generation.max_length,
        metrics="\n".join(f"| {name} | {value:.4f} |" for name, value in model.metrics.items()) or "| none measured | |",
    )
