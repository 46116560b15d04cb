"""The HTML report of an evaluation: one page that needs no other file, with scores, lengths, diversity, and the best and worst photos."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from showattend.data.images import BrokenImage, open_photo
from showattend.files import write_text
from showattend.metrics.diversity import distinct, share_different, share_new, vocabulary_size
from showattend.metrics.significance import Interval
from showattend.visualize.length_chart import make_length_chart

MAX_PHOTOS = 20  # among the best, and among the worst
THUMBNAIL = 320  # pixels of the longer side


class PhotoReport(NamedTuple):
    """A photo with its caption, references and scores."""

    id: object
    file: Path
    caption: str
    references: Sequence[str]
    scores: Mapping[str, float]  # by the metrics' labels


class DiversityInputs(NamedTuple):
    """The tokens of each photo's caption, of each photo's references, and of the training captions where those are known."""

    captions: Sequence[Sequence[str]]
    references: Sequence[Sequence[Sequence[str]]]
    training: Sequence[Sequence[str]]


class ScoreRow(NamedTuple):
    """A metric's label and value, and its confidence interval where there is one."""

    name: str
    value: float
    interval: Interval | None


class DiversityRow(NamedTuple):
    """A measure of diversity, of the captions and of the references."""

    name: str
    captions: str
    references: str


class Gallery(NamedTuple):
    """A heading and the photos below it."""

    title: str
    photos: Sequence[PhotoReport]


def write_report(
    path: Path,
    title: str,
    signature: str,
    scores: Sequence[ScoreRow],
    problems: Sequence[str],
    diversity: DiversityInputs,
    photos: Sequence[PhotoReport],
) -> None:
    """Write the page.

    Args:
        problems: what was wrong with the captions, a line each
        photos: all that were scored, the best first

    Raises:
        InputError: it cannot be written.
    """
    # Autoescape: captions, references and file names come from data and must stay text.
    environment = Environment(
        loader=PackageLoader("showattend.visualize"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=title,
        signature=signature,
        scores=scores,
        problems=problems,
        lengths=make_length_chart(diversity.captions, [reference for references in diversity.references for reference in references]),
        diversity=_diversity_rows(diversity),
        galleries=_galleries(photos),
        thumbnail=_thumbnail,
    )
    write_text(path, page)


def _diversity_rows(inputs: DiversityInputs) -> list[DiversityRow]:
    captions, training = inputs.captions, inputs.training
    # Distinct-n falls with the amount of text, so there must be as many references as captions.
    references = [of_photo[0] for of_photo in inputs.references]
    rows = [
        DiversityRow("different words", f"{vocabulary_size(captions):,}", f"{vocabulary_size(references):,}"),
        DiversityRow("distinct-1: different words over all words", f"{distinct(captions, 1):.4f}", f"{distinct(references, 1):.4f}"),
        DiversityRow(
            "distinct-2: different pairs of words over all pairs", f"{distinct(captions, 2):.4f}", f"{distinct(references, 2):.4f}"
        ),
        DiversityRow("different captions", f"{share_different(captions):.1%}", f"{share_different(references):.1%}"),
    ]
    if training:
        new_captions, new_references = share_new(captions, training), share_new(references, training)
        rows.append(DiversityRow("new: in none of the training captions", f"{new_captions:.1%}", f"{new_references:.1%}"))
    return rows


def _galleries(photos: Sequence[PhotoReport]) -> list[Gallery]:
    """The best photos and the worst, none of them in both."""
    best = photos[: min(MAX_PHOTOS, (len(photos) + 1) // 2)]
    worst = photos[len(best) :][-MAX_PHOTOS:][::-1]
    galleries = (Gallery(f"The {len(group)} {name} photos by CIDEr-D", group) for name, group in (("best", best), ("worst", worst)))
    return [gallery for gallery in galleries if gallery.photos]


def _thumbnail(file: Path) -> str | None:
    """A small copy of a photo as a data URL; None where the file does not exist or cannot be read."""
    if not file.is_file():
        return None
    try:
        image, _ = open_photo(file)
    except BrokenImage:
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
