"""Scores as one page of HTML that needs nothing else: table, lengths, variety, and the best and the worst photos."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from showattend.data.images import BrokenImage, open_photo
from showattend.files import atomic_write
from showattend.metrics.diversity import distinct, share_different, share_new, vocabulary_size
from showattend.metrics.significance import Interval

SHOWN = 20
THUMBNAIL = 320  # pixels of the longer side
WIDTH, HEIGHT = 400, 160  # of the bars, in units that are about a pixel on a phone
STYLE = """
:root { color-scheme: light dark; --said: #0072b2; --theirs: #999; --line: #8885; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { border-collapse: collapse; } caption { text-align: left; color: GrayText; }
th, td { text-align: left; padding: .25rem 1.5rem .25rem 0; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; }
code { font-size: .85rem; overflow-wrap: anywhere; }
svg { width: 100%; max-width: 34rem; height: auto; fill: currentColor; font-size: 12px; }
.said { fill: var(--said); color: var(--said); } .theirs { fill: var(--theirs); color: var(--theirs); }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem; padding: 0; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; overflow-wrap: anywhere; }
article img { width: 100%; height: 13rem; object-fit: contain; background: #8882; border-radius: .25rem; }
article p { margin: .4rem 0; } article ul { margin: 0; padding-left: 1.1rem; font-size: .9rem; }
.id, .scores { color: GrayText; font-size: .85rem; }
"""


class PhotoReport(NamedTuple):
    """A photo with what was said of it."""

    id: object
    file: Path
    caption: str
    references: Sequence[str]
    scores: Mapping[str, float]  # by the names to show


class DiversityInputs(NamedTuple):
    """The tokens of each photo's caption, of each photo's references, and of the captions to learn from, if those are known."""

    captions: Sequence[Sequence[str]]
    references: Sequence[Sequence[Sequence[str]]]
    training: Sequence[Sequence[str]]


class ScoreRow(NamedTuple):
    """A score with its name and, where there is one, its interval."""

    name: str
    value: float
    interval: Interval | None


def write_report(
    path: Path,
    title: str,
    signature: str,
    scores: Sequence[ScoreRow],
    problems: Sequence[str],
    variety: DiversityInputs,
    photos: Sequence[PhotoReport],
) -> None:
    """Write the page.

    Args:
        problems: what was wrong with the captions, a line each
        photos: all that were scored, the best first

    Raises:
        InputError: it cannot be written.
    """
    best = photos[: min(SHOWN, (len(photos) + 1) // 2)]
    worst = photos[len(best) :][-SHOWN:][::-1]
    page = f"""{_head(title)}
<body>
<h1>{escape(title)}</h1>
<p><code>{escape(signature)}</code></p>
{"".join(f"<p><strong>{escape(problem)}</strong></p>" for problem in problems)}
<h2>Scores</h2>
{_score_table(scores)}
<h2>Lengths</h2>
{_lengths(variety)}
<h2>Words</h2>
{_variety_table(variety)}
{_gallery(f"The {len(best)} best photos by CIDEr-D", best)}
{_gallery(f"The {len(worst)} worst photos by CIDEr-D", worst)}
</body>
</html>
"""
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _head(title: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Scores of {escape(title)}</title>
<style>{STYLE}</style>
</head>"""


def _score_table(scores: Sequence[ScoreRow]) -> str:
    rows = ""
    for name, value, bounds in scores:
        interval = f"{bounds.low:.4f} to {bounds.high:.4f}" if bounds else ""
        rows += f'<tr><th scope="row">{escape(name)}</th><td>{value:.4f}</td><td>{interval}</td></tr>\n'
    head = '<tr><th scope="col">score</th><th scope="col">value</th><th scope="col">95% interval</th></tr>'
    return f"<table>\n<caption>Intervals: bootstrap over the photos</caption>\n{head}\n{rows}</table>"


def _variety_table(variety: DiversityInputs) -> str:
    # Distinct-n falls with the amount of text: as many references as captions.
    said, theirs, training = variety.captions, [of_photo[0] for of_photo in variety.references], variety.training
    rows = [
        ("different words", f"{vocabulary_size(said):,}", f"{vocabulary_size(theirs):,}"),
        ("distinct-1: different words over all words", f"{distinct(said, 1):.4f}", f"{distinct(theirs, 1):.4f}"),
        ("distinct-2: different pairs of words over all pairs", f"{distinct(said, 2):.4f}", f"{distinct(theirs, 2):.4f}"),
        ("different captions", f"{share_different(said):.1%}", f"{share_different(theirs):.1%}"),
    ]
    if training:
        rows.append(("new: in none of the training captions", f"{share_new(said, training):.1%}", f"{share_new(theirs, training):.1%}"))
    cells = "".join(f'<tr><th scope="row">{name}</th><td>{one}</td><td>{other}</td></tr>\n' for name, one, other in rows)
    return f'<table>\n<tr><td></td><th scope="col">captions</th><th scope="col">first references</th></tr>\n{cells}</table>'


def _lengths(variety: DiversityInputs) -> str:
    """Bars: the share of captions, and of references, with each number of words."""
    texts = (variety.captions, [words for of_photo in variety.references for words in of_photo])
    said, theirs = (Counter(map(len, captions)) for captions in texts)
    longest = max([*said, *theirs], default=0)
    shares = [(count[length] / max(1, count.total())) for count in (said, theirs) for length in range(longest + 1)]
    step, height, top = WIDTH / (longest + 1), HEIGHT, max(shares, default=0) or 1
    bars = []
    for number, share in enumerate(shares):
        row, length = divmod(number, longest + 1)
        tall = height * share / top
        place = f'x="{length * step + row * step * 0.42:.1f}" y="{20 + height - tall:.1f}" width="{step * 0.4:.1f}" height="{tall:.1f}"'
        who = ("said", "theirs")[row]
        bars.append(f'<rect class="{who}" {place}><title>{length} words: {share:.1%}</title></rect>')
    every = max(1, -(-(longest + 1) // 20))
    labels = [
        f'<text x="{length * step + step * 0.4:.1f}" y="{height + 36}" text-anchor="middle">{length}</text>'
        for length in range(0, longest + 1, every)
    ]
    means = [sum(map(len, captions)) / max(1, len(captions)) for captions in texts]
    legend = f'<span class="said">■</span> captions, {means[0]:.1f} on average; <span class="theirs">■</span> references, {means[1]:.1f}'
    peak = f'<text x="0" y="12">{top:.0%}</text>'
    label = 'role="img" aria-label="shares of captions and of references by their number of words"'
    return f'<p>Words in a caption: {legend}</p>\n<svg viewBox="0 0 {WIDTH} {height + 44}" {label}>{peak}{"".join(bars + labels)}</svg>'


def _gallery(title: str, photos: Sequence[PhotoReport]) -> str:
    return f'<h2>{title}</h2>\n<div class="photos">\n{"".join(map(_article, photos))}</div>' if photos else ""


def _article(photo: PhotoReport) -> str:
    said = "".join(f"<li>{escape(text)}</li>" for text in photo.references)
    scores = ", ".join(f"{escape(name)} {value:.3f}" for name, value in photo.scores.items())
    return (
        f'<article>{_picture(photo)}<p class="id">{escape(str(photo.id))}</p><p><strong>{escape(photo.caption) or "(nothing)"}</strong></p>'
        f'<p class="scores">{scores}</p><ul>{said}</ul></article>\n'
    )


def _picture(photo: PhotoReport) -> str:
    """The photo, small and inside the page; nothing where its file is not at hand or cannot be read."""
    if not photo.file.is_file():
        return ""
    try:
        image, _ = open_photo(photo.file)
    except BrokenImage:
        return ""
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="photo {escape(str(photo.id))}" src="data:image/jpeg;base64,{data}">'
