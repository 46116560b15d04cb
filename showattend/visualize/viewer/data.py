"""Data of the viewer as plain values: words, probabilities, alphas, gates and where the grid lies on the photo."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from showattend.data.images import photo_size
from showattend.inference import Caption
from showattend.visualize.options import DrawingOptions


def viewer_data(name: str, size: tuple[int, int], captions: Mapping[str, Caption], options: DrawingOptions | None = None) -> dict[str, Any]:
    """The data of the viewer, which JSON can hold.

    Args:
        name: of the photo
        size: width and height of the whole photo, upright
        captions: by the name of their model; each brings its alternatives

    Returns:
        photo: its name, width and height
        models: for each its name and its captions, the best first, see `_caption_data`
        style, upsample, colormap: how the maps are drawn
    """
    options = options or DrawingOptions()
    return {
        "photo": {"name": name, "width": size[0], "height": size[1]},
        "models": [
            {"name": model, "captions": [_caption_data(each) for each in (caption, *caption.alternatives)]}
            for model, caption in captions.items()
        ],
        "style": options.style,
        "upsample": options.upsample,
        "colormap": options.colors(),
    }


def photo_data(photo: Path, caption: Caption) -> dict[str, Any]:
    """The part of the data that depends on one photo and its caption: name, width, height and the caption's fields.

    Raises:
        InputError: the photo cannot be read.
    """
    width, height = photo_size(photo)
    return {"name": photo.name, "width": width, "height": height, "caption": _caption_data(caption)}


def _caption_data(caption: Caption) -> dict[str, Any]:
    """The fields of a caption that the viewer shows; of the gates, the mean over their units."""
    several = len(caption.gates) > 1
    return {
        "text": str(caption),
        "words": caption.labels,
        "score": caption.score if math.isfinite(caption.score) else None,
        "alphas": [_rounded(alpha) for alpha in caption.alphas.tolist()],
        "grid_shape": list(caption.grid_shape),
        "crop_box": list(caption.crop_box),
        "grid_box": list(caption.grid_box),
        "log_probs": None if caption.log_probs is None else _rounded(caption.log_probs.tolist()),
        "betas": None if caption.betas is None else _rounded(caption.betas.tolist()),
        "locations": None if caption.locations is None else caption.locations.tolist(),
        "gates": [
            {"name": f"gate {name}, layer {layer}" if several else f"gate {name}", "values": _rounded(values.float().mean(1).tolist())}
            for layer, gates in enumerate(caption.gates, 1)
            for name, values in gates.items()
        ],
    }


def _rounded(values: list[float]) -> list[float]:
    """Four significant digits, which halve the file; what is not finite, such as the logarithm of 0 or NaN, becomes a large number."""
    return [float(f"{-1e9 if math.isnan(value) else min(max(value, -1e9), 1e9):.4g}") for value in values]
