"""The README.md of a model folder."""

import html
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from showattend.pretrained.folder import Pretrained
from showattend.version import __version__

DRAWN = 20  # captions that a card shows

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
- Search, where nothing else is asked for: beam {beam}, length penalty {length_penalty}, at most {max_length} words

```python
from showattend import Captioner
print(Captioner.from_pretrained("this/folder").caption("photo.jpg"))
```

{figures}

Captions follow what was probable in the training data and can be wrong about people, counts and everything rare; do not rely on
them where that matters. The weights come under the terms of the photos, captions and pretrained encoder that they were trained with.
"""


DRAWN_CAPTIONS = """\
{title}; 95% bootstrap intervals over the photos.

{table}

`{signature}`

{words:,} different words in all captions (one person's: {one_person_words:,}). {repeated:.1%} of the captions are said of another photo too
(one person's: {one_person_repeated:.1%}).

## {count} captions, drawn at random

{captions}"""


@dataclass(frozen=True)
class Evaluation:
    """What a model's captions of a data set are worth.

    Attributes:
        title: whose captions, of what
        scores: by a metric's label, its value and its interval, if it has one
        signature: how they were computed
        diversity: different words, and the share of repeated captions; of the captions, and of one person's
        captions: by photo, the caption and what people wrote
    """

    title: str
    scores: Mapping[str, tuple[float, tuple[float, float] | None]]
    signature: str
    diversity: tuple[Mapping[str, float], Mapping[str, float]]
    captions: Mapping[Hashable, tuple[str, Sequence[str]]]


def model_card(model: Pretrained, evaluation: Evaluation | None = None) -> str:
    """The card as Markdown, with the metadata that the Hugging Face Hub reads.

    Args:
        evaluation: None: the card has the figures of the model's own validation
    """
    return TEMPLATE.format(
        cell=model.network.decoder.config.cell,
        encoder=model.network.encoder.config.name,
        version=__version__,
        trained_on=_plain(model.trained_on) or "not recorded",
        words=len(model.vocabulary),
        tokenizer=model.vocabulary.tokenizer,
        image_size=model.preprocessing.image_size,
        resize=model.preprocessing.resize,
        beam=model.generation.beam,
        length_penalty=model.generation.length_penalty,
        max_length=model.generation.max_length,
        figures=_figures(evaluation) if evaluation else _validation_figures(model.metrics),
    )


def _validation_figures(metrics: Mapping[str, float]) -> str:
    rows = [(name, f"{value:.4f}") for name, value in metrics.items()] or [("none measured", "")]
    return _table(("metric", "value"), rows)


def _figures(evaluation: Evaluation) -> str:
    """The scores, and captions of photos that were not chosen: the same ones for all models of a data set."""
    scores = [
        (label, f"{value:.4f}", f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "")
        for label, (value, interval) in evaluation.scores.items()
    ]
    photos = sorted(evaluation.captions, key=str)
    drawn = random.Random(0).sample(photos, min(DRAWN, len(photos)))
    captions = [(str(photo), caption, references[0]) for photo in drawn for caption, references in [evaluation.captions[photo]]]
    own, one_person = evaluation.diversity
    return DRAWN_CAPTIONS.format(
        title=_plain(evaluation.title),
        table=_table(("metric", "value", "interval"), scores),
        signature=evaluation.signature,
        words=own["words"],
        repeated=own["repeated"],
        one_person_words=one_person["words"],
        one_person_repeated=one_person["repeated"],
        count=len(captions),
        captions=_table(("photo", "the model", "a person"), captions),
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *(map(_plain, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names of files and captions come from data."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{character}" if character in "\\`*_[]|~" else character for character in escaped)
