"""A word of a caption, the objects that it names, and the model's alpha at that word."""

from dataclasses import dataclass

import numpy as np

from showattend.arrays import Floats
from showattend.data.boxes import ObjectWord
from showattend.data.captions import Photo
from showattend.grounding.geometry import clip_boxes
from showattend.inference import Caption

MEASURED, NO_BOX, OUTSIDE_CROP = "measured", "no box", "outside crop"


@dataclass(frozen=True)
class Mention:
    """One word that names objects, in a caption of a photo; the caption is the model's own, or scored by teacher forcing."""

    photo: Photo
    caption: Caption
    word: ObjectWord

    @property
    def status(self) -> str:
        """`measured`, or why not: the word names nothing that has a box (`no box`), or no box reaches into the network's input."""
        if not self.word.boxes:
            return NO_BOX
        return MEASURED if clip_boxes(self.word.boxes, self.caption.crop_box) else OUTSIDE_CROP

    @property
    def text(self) -> str:
        """The word as it stands in the caption."""
        return self.caption.words[self.word.position]

    @property
    def alpha(self) -> Floats:
        """The weights on the locations at this word, (L,)."""
        return np.asarray(self.caption.alphas[self.word.position], np.float64)
