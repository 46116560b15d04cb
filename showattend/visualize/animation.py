"""A caption that types itself while the map moves: frames of a GIF or an animated WebP."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from showattend.errors import InputError
from showattend.inference import Caption
from showattend.visualize.fonts import is_right_to_left, pillow_font
from showattend.visualize.maps import attention_map, cell_box, fit_within, main_cells, overlay, scale_boxes, unseen_boxes
from showattend.visualize.options import DrawingOptions

MAX_SIDE, MIN_WIDTH = 480, 240  # pixels of the photo
MAX_PIXELS = 2**27  # of all frames of a caption, which are in memory at once
MARGIN, FONT_SIZE, LINE = 12, 20, 27  # pixels
WORD_TIME, MOVE_TIME, END_TIME = 560, 70, 1800  # milliseconds
MOVES = 3  # frames from one map to the next
PAPER, INK, QUIET, ACCENT = (255, 255, 255), (28, 29, 33), (98, 101, 110), (194, 65, 12)
NAME_SIZE, NAME_LINE = 16, 30  # pixels

_Frame = tuple[Image.Image, int]  # a picture, and for how many milliseconds it is shown


def save_animation(path: Path, photo: Image.Image, captions: Mapping[str, Caption], options: DrawingOptions) -> None:
    """Write the frames to a file whose ending is .gif or .webp; several models type their captions one below the other.

    Args:
        photo: upright, RGB
        captions: by the name of their model

    Raises:
        InputError: a chosen word does not exist, or there are too many words.
    """
    frames, times = zip(*_stack([list(_frames(photo, name, caption, options)) for name, caption in captions.items()]), strict=True)
    if path.suffix.lower() == ".gif":
        # One palette for all frames: a palette of its own for each would make the photo flicker.
        palette = _palette(frames)
        frames = tuple(frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=list(times), loop=0)


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """256 colours of some of the frames side by side."""
    some = frames[:: max(1, len(frames) // 6)]
    sheet = Image.new("RGB", (sum(frame.width for frame in some), some[0].height))
    for n, frame in enumerate(some):
        sheet.paste(frame, (n * frame.width, 0))
    return sheet.quantize(256, method=Image.Quantize.MEDIANCUT)


def _stack(films: Sequence[Sequence[_Frame]]) -> Iterator[_Frame]:
    """Frames of several captions one below the other, word by word at once; a shorter caption waits at its end."""
    longest = max(films, key=len)
    for n, (_, milliseconds) in enumerate(longest):
        pictures = [film[min(n, len(film) - 1)][0] for film in films]
        sheet = Image.new("RGB", (max(picture.width for picture in pictures), sum(picture.height for picture in pictures)), PAPER)
        top = 0
        for picture in pictures:
            sheet.paste(picture, ((sheet.width - picture.width) // 2, top))
            top += picture.height
        yield sheet, milliseconds


def _frames(photo: Image.Image, name: str, caption: Caption, options: DrawingOptions) -> Iterator[_Frame]:
    """Frames and how long each is shown, in milliseconds."""
    small = _enlarge(fit_within(photo, MAX_SIDE))
    caption = scale_boxes(caption, small.width / photo.width, small.height / photo.height)
    page = _Page(small, name, caption)
    words = options.chosen_words(len(caption.words))
    if (MOVES * len(words) + 2) * page.size[0] * page.size[1] > MAX_PIXELS:
        raise InputError(f"an animation of {len(words)} words would not fit into memory: choose some with --words, or write a page (.html)")
    yield page.frame(small, -1), WORD_TIME
    before = None
    for word in words:
        weights = attention_map(caption, word, small.size, options.upsample)
        if before is not None:
            for move in range(1, MOVES):
                share = move / MOVES
                mixed = (1 - share) * before + share * weights
                yield page.frame(_draw_map(small, caption, None, mixed, options), word), MOVE_TIME
        yield page.frame(_draw_map(small, caption, word, weights, options), word), WORD_TIME
        before = weights
    yield page.frame(small, len(caption.words)), END_TIME


def _enlarge(photo: Image.Image) -> Image.Image:
    """A small photo, such as an icon, with each pixel as a square."""
    factor = -(-MIN_WIDTH // max(photo.size))
    return photo if factor == 1 else photo.resize((factor * photo.width, factor * photo.height), Image.Resampling.NEAREST)


def _draw_map(photo: Image.Image, caption: Caption, word: int | None, weights: np.ndarray, options: DrawingOptions) -> Image.Image:
    """The photo with the map of a word; boxes, and hard attention's location, only while the map stands still (`word` is given)."""
    picture = Image.fromarray((255 * overlay(photo, weights, options)).round().astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    cells: list[int] = []
    if word is not None and options.style in ("boxes", "contour"):
        cells = main_cells(np.asarray(caption.alphas[word]))
    if word is not None and caption.locations is not None:
        cells.append(int(caption.locations[word]))
    for cell in cells:
        left, upper, right, lower = (round(edge) for edge in cell_box(caption, cell))
        draw.rectangle((left, upper, max(left, right - 1), max(upper, lower - 1)), outline=PAPER, width=4)
        draw.rectangle((left + 1, upper + 1, max(left + 1, right - 2), max(upper + 1, lower - 2)), outline=ACCENT, width=2)
    return picture


class _Page:
    """A white page with the photo on top, below the model's name where there is one, and the caption below it."""

    def __init__(self, photo: Image.Image, name: str, caption: Caption) -> None:
        self.photo, self.name, self.words = photo, name, caption.labels or ["(no words)"]
        self.unseen = unseen_boxes(caption, photo.size)
        self.width = max(photo.width, MIN_WIDTH)
        self.top = NAME_LINE if name else 0
        text = " ".join(self.words)
        self.font, self.right_to_left = pillow_font(text, FONT_SIZE), is_right_to_left(text)
        self.lines = self._wrap()
        self.size = (self.width, self.top + photo.height + 2 * MARGIN + LINE * len(self.lines))

    def _wrap(self) -> list[list[int]]:
        """Indices of the words of each line."""
        lines: list[list[int]] = [[]]
        for word in range(len(self.words)):
            line = [*lines[-1], word]
            if lines[-1] and self._length(line) > self.width - 2 * MARGIN:
                lines.append([word])
            else:
                lines[-1] = line
        return lines

    def _length(self, line: Sequence[int]) -> float:
        return self.font.getlength(" ".join(self.words[word] for word in line))

    def frame(self, picture: Image.Image, current: int) -> Image.Image:
        """The page when the words up to `current` are typed; this one is in the accent colour."""
        page = Image.new("RGB", self.size, PAPER)
        left = (self.width - self.photo.width) // 2
        page.paste(picture, (left, self.top))
        for box in self.unseen:
            self._hatch(page, left, [round(edge) for edge in box])
        draw = ImageDraw.Draw(page)
        if self.name:
            draw.text((MARGIN, 6), self.name, font=pillow_font(self.name, NAME_SIZE), fill=QUIET)
        for row, line in enumerate(self.lines):
            x, y = float(MARGIN), self.top + self.photo.height + MARGIN + LINE * row
            for word in line:
                length = self.font.getlength(self.words[word])
                if word <= current:
                    place = self.width - x - length if self.right_to_left else x
                    draw.text((place, y), self.words[word], font=self.font, fill=ACCENT if word == current else INK)
                x += length + self.font.getlength(" ")
        return page

    def _hatch(self, page: Image.Image, offset: int, box: Sequence[int]) -> None:
        """Lighten and hatch what the network did not see."""
        left, upper, right, lower = box
        area = (left + offset, upper + self.top, right + offset, lower + self.top)
        light = Image.blend(page.crop(area), Image.new("RGB", (right - left, lower - upper), PAPER), 0.62)
        draw = ImageDraw.Draw(light)
        for start in range(-light.height, light.width, 8):
            draw.line((start, light.height, start + light.height, 0), fill=(120, 122, 130))
        page.paste(light, area[:2])
