"""Draws the diagrams of the documents: `python docs/extensions/draw_pictures.py` writes docs/pictures/*.svg."""

from html import escape
from pathlib import Path

PICTURES = Path(__file__).parents[1] / "pictures"
BLUE, ORANGE, GREEN, RED, GREY, WHITE = "#d9e8f5", "#fbe3c8", "#d8ecd9", "#f5d9d9", "#f2f2f2", "#ffffff"


class Picture:
    """Boxes, arrows and text on a white ground, in pixels from the top left."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.shapes = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{escape(title)}" font-family="Helvetica, Arial, sans-serif" font-size="14" fill="#111">',
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            '<path d="M0 0 8 4 0 8z" fill="#444"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="{WHITE}"/>',
        ]

    def box(self, x: int, y: int, width: int, height: int, lines: str, color: str = GREY) -> None:
        """A box with lines of text; the first line is bold, lines are parted by `|`."""
        self.shapes.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{color}" stroke="#555"/>')
        rows = lines.split("|")
        top = y + height // 2 - 9 * (len(rows) - 1) + 5
        for index, row in enumerate(rows):
            weight = ' font-weight="600"' if index == 0 else ' font-size="12.5" fill="#333"'
            self.text(x + width // 2, top + 18 * index, row, weight)

    def text(self, x: int, y: int, words: str, style: str = ' font-size="12.5" fill="#333"', anchor: str = "middle") -> None:
        """One line of text."""
        self.shapes.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}"{style}>{escape(words)}</text>')

    def arrow(self, *points: tuple[int, int], dashed: bool = False) -> None:
        """A line with a head through these points."""
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.shapes.append(f'<path d="{path}" fill="none" stroke="#444" stroke-width="1.5"{dash} marker-end="url(#head)"/>')

    def grid(self, x: int, y: int, side: int, cells: int, bright: tuple[int, ...] = ()) -> None:
        """A square grid of locations, some of them lit."""
        step = side / cells
        for index in range(cells * cells):
            row, column = divmod(index, cells)
            color = "#f2b84b" if index in bright else BLUE
            self.shapes.append(
                f'<rect x="{x + column * step:.1f}" y="{y + row * step:.1f}" width="{step:.1f}" height="{step:.1f}" '
                f'fill="{color}" stroke="#8aa"/>'
            )

    def save(self, name: str) -> None:
        """Write the file."""
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.svg").write_text("\n".join([*self.shapes, "</svg>"]) + "\n", encoding="utf-8")


def architecture() -> None:
    """The whole model with the shapes of what flows through it."""
    p = Picture(960, 450, "The model: encoder, attention, cell, deep output, with shapes")
    p.box(20, 150, 110, 90, "photo|(3, S, S)", ORANGE)
    p.box(180, 150, 130, 90, "encoder|CNN, often frozen", GREEN)
    p.grid(362, 142, 106, 7, (16, 17, 23, 24))
    p.text(415, 268, "features a: (L, D)")
    p.text(415, 286, "L = 7 x 7 locations")
    p.box(530, 40, 190, 84, "attention|e = w . tanh(W a + U h)|alpha = softmax(e)  (L,)", RED)
    p.box(530, 186, 190, 70, "context|z = beta * sum alpha a  (D,)", BLUE)
    p.box(530, 318, 190, 84, "recurrent cell|h = cell([E y, z], h)|h: (H,)  swappable", GREEN)
    p.box(780, 318, 160, 84, "deep output|softmax(L tanh(...))|next word: (V,)", RED)
    p.box(330, 326, 140, 68, "embedding|E y of the last word|(E,)", BLUE)
    p.arrow((130, 195), (178, 195))
    p.arrow((310, 195), (358, 195))
    p.arrow((470, 170), (500, 170), (500, 82), (527, 82))
    p.arrow((470, 220), (527, 220))
    p.arrow((625, 124), (625, 183))
    p.arrow((625, 256), (625, 315))
    p.arrow((470, 360), (527, 360))
    p.arrow((720, 360), (777, 360))
    p.arrow((720, 335), (748, 335), (748, 82), (723, 82), dashed=True)
    p.text(756, 210, "h before the word", anchor="start")
    p.arrow((720, 222), (850, 222), (850, 315))
    p.arrow((860, 402), (860, 436), (400, 436), (400, 397), dashed=True)
    p.text(625, 428, "the word is the next input")
    p.text(380, 124, "h_0, c_0 from the mean feature")
    p.save("architecture")


def shared_keys() -> None:
    """One product and one exponential for each photo instead of one tanh for each word."""
    p = Picture(900, 250, "Shared keys: exp(2k) is computed once for each photo")
    p.box(20, 30, 200, 60, "keys of the photo|k = W a,  (L, A)", BLUE)
    p.box(270, 30, 200, 60, "once for each photo|exp(2k),  (L, A)", GREEN)
    p.box(20, 150, 200, 60, "query of the word|q = U h,  (A,)", ORANGE)
    p.box(270, 150, 200, 60, "once for each word|exp(2q),  (A,)", GREEN)
    p.box(520, 85, 190, 72, "one division|r = 1 / (1 + exp(2k) exp(2q))", RED)
    p.box(750, 85, 130, 72, "energies|sum w - 2 w . r|(L,)", BLUE)
    p.arrow((220, 60), (267, 60))
    p.arrow((220, 180), (267, 180))
    p.arrow((470, 60), (495, 60), (495, 110), (517, 110))
    p.arrow((470, 180), (495, 180), (495, 132), (517, 132))
    p.arrow((710, 121), (747, 121))
    p.text(690, 190, "tanh(k + q) = 1 - 2 r; nothing of size (L, A) is stored for a word")
    p.save("shared-keys")


def fused_loop() -> None:
    """What the fused training loop stores, and what its backward pass computes where."""
    p = Picture(900, 330, "The fused loop: word by word only what depends on the word before, all weights' gradients afterwards")
    for index, label in enumerate(("word 1", "word 2", "word T")):
        x = 40 + 290 * index
        p.box(x, 40, 220, 66, f"{label}: forward|one product for all that reads h", GREEN)
        p.box(x, 140, 220, 66, f"{label}: backward|gradients of h, a, e only", RED)
        if index < 2:
            p.arrow((x + 220, 73), (x + 287, 73))
            p.arrow((x + 290, 173), (x + 223, 173))
    p.arrow((730, 106), (730, 137))
    p.box(
        40,
        250,
        800,
        58,
        "after the loop, over all words at once|one product for each weight; gradients of keys and features for each photo",
        BLUE,
    )
    for x in (150, 440, 730):
        p.arrow((x, 206), (x, 247), dashed=True)
    p.text(40, 28, "stored for each word: pre-activations, exp(2q), alpha (L,), the state; nothing of size (L, A)", anchor="start")
    p.save("fused-loop")


def prefix_sharing() -> None:
    """Hypotheses with the same parent share one attention step in beam search."""
    p = Picture(900, 270, "Prefix sharing: beams that continue the same hypothesis attend once")
    p.box(20, 40, 150, 46, "a dog", BLUE)
    p.box(20, 130, 150, 46, "a man", BLUE)
    p.box(20, 210, 150, 40, "a dog <end>", GREY)
    p.box(270, 40, 190, 46, "attend once|for h of 'a dog'", RED)
    p.box(270, 130, 190, 46, "attend once|for h of 'a man'", RED)
    for index, words in enumerate(("a dog runs", "a dog jumps", "a dog on")):
        p.box(580, 20 + 50 * index, 170, 38, words, GREEN)
        p.arrow((460, 63), (577, 39 + 50 * index))
    p.box(580, 175, 170, 38, "a man in", GREEN)
    p.arrow((460, 153), (577, 193))
    p.arrow((170, 63), (267, 63))
    p.arrow((170, 153), (267, 153))
    p.text(180, 235, "finished: no product, no attention", anchor="start")
    p.text(770, 100, "different words,", anchor="start")
    p.text(770, 118, "same h, same alpha", anchor="start")
    p.save("prefix-sharing")


def chunked_cross_entropy() -> None:
    """The vocabulary in chunks; each chunk's exponentials lie where its weight gradient will lie."""
    p = Picture(900, 270, "Chunked cross-entropy: the full (M, V) logits never exist")
    p.box(20, 95, 140, 70, "hidden|(M, E)", ORANGE)
    for index in range(4):
        x = 240 + 110 * index
        p.box(x, 30, 96, 50, f"W chunk {index + 1}|(V/4, E)", BLUE)
        p.box(x, 110, 96, 50, "exp(logits)|(M, V/4)", GREEN)
        p.box(x, 190, 96, 50, "grad W|(V/4, E)", RED)
        p.arrow((x + 48, 80), (x + 48, 107))
        p.arrow((x + 48, 160), (x + 48, 187), dashed=True)
    p.arrow((160, 130), (237, 130))
    p.box(715, 95, 165, 70, "running logsumexp|and target logits: loss", GREY)
    p.arrow((668, 130), (712, 130))
    p.text(450, 262, "backward overwrites each chunk's exponentials with that chunk's weight gradient: one buffer for both")
    p.save("chunked-cross-entropy")


if __name__ == "__main__":
    for draw in (architecture, shared_keys, fused_loop, prefix_sharing, chunked_cross_entropy):
        draw()
