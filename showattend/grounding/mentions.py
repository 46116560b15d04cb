"""A word of a caption, the objects that it names, and where the model looked when it said it."""

from dataclasses import dataclass

import numpy as np

from showattend.data.boxes import ObjectWord
from showattend.data.captions import Photo
from showattend.grounding.geometry import Floats, in_sight
from showattend.inference import Caption

MEASURED, NO_BOX, OUT_OF_SIGHT = "measured", "no box", "out of sight"


@dataclass(frozen=True)
class Mention:
    """One word that names objects, in a caption that the model said, or would say, of a photo."""

    photo: Photo
    caption: Caption
    word: ObjectWord

    @property
    def state(self) -> str:
        """`measured`, or why not: `no box` in the photo is named by the word, or all of them are `out of sight` of the network."""
        if not self.word.boxes:
            return NO_BOX
        return MEASURED if in_sight(self.word.boxes, self.caption.crop_box) else OUT_OF_SIGHT

    @property
    def alpha(self) -> Floats:
        """Where the model looked, (L,)."""
        return self.caption.alphas[self.word.position].double().numpy().astype(np.float64)
