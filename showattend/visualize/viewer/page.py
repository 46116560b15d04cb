"""The viewer as a page: one file that needs no other and asks no network for anything."""

import base64
import hashlib
import html
import io
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from showattend.errors import InputError
from showattend.inference import Caption
from showattend.visualize.maps import fit_within, photo_of
from showattend.visualize.options import DrawingOptions
from showattend.visualize.viewer.data import viewer_data

MAX_SIDE = 1600  # pixels of the photo inside the page
MAX_BYTES = 1_000_000  # of this photo
LOSSLESS_SIDE = 256  # smaller photos keep every pixel


def viewer_page(photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions | None = None) -> str:
    """The viewer as an HTML page with the photo inside.

    The page holds no text of a file's name or caption as markup, runs no script but its own and loads nothing: its content security
    policy allows both by their hashes only.

    Args:
        photo: upright, RGB
        name: of the photo, for the page's title
        captions: by the name of their model; each brings its alternatives
    """
    return render_viewer(photo, viewer_data(name, photo.size, captions, options))


def notebook_html(caption: Caption) -> str:
    """The viewer in a frame, so that its styles and a notebook's stay apart; the words alone without a photo."""
    try:
        photo = photo_of(caption)
    except InputError:
        return f"<p>{html.escape(str(caption) or '(no words)')}</p>"
    name = "photo" if isinstance(caption.photo, Image.Image) else Path(caption.photo).name
    return viewer_frame(photo, name, {"": caption})


def viewer_frame(photo: Image.Image, name: str, captions: Mapping[str, Caption], options: DrawingOptions | None = None) -> str:
    """The viewer as an element of another page, which grows to its height; the arguments are those of `viewer_page`."""
    return frame(render_viewer(photo, viewer_data(name, photo.size, captions, options), embedded=True), f"where the model looked in {name}")


def frame(page: str, title: str) -> str:
    """A page as an element of another page."""
    return f'<iframe srcdoc="{html.escape(page)}" style="width:100%;height:640px;border:0" title="{html.escape(title)}"></iframe>'


def render_viewer(photo: Image.Image, data: dict[str, Any], *, embedded: bool = False) -> str:
    """The page of a photo and the viewer's data about it.

    Args:
        data: see `viewer_data`
        embedded: whether another page holds this one in a frame
    """
    caption = data["models"][0]["captions"][0]["text"] or "(no words)"
    return render_page(
        "viewer.html.j2", ("viewer.css",), ("viewer.js", "frame.js"), title=caption, data=data, photo=data_url(photo), embedded=embedded
    )


def render_page(name: str, stylesheets: Sequence[str], scripts: Sequence[str], **values: object) -> str:
    """A page of this package, with style sheets and scripts, and their hashes for the content security policy."""
    # Autoescape: captions and file names come from data and must stay text. `tojson` escapes what could end a script.
    environment = Environment(loader=PackageLoader("showattend.visualize", "viewer"), autoescape=True, undefined=StrictUndefined)
    css, js = ("".join(map(read_asset, names)) for names in (stylesheets, scripts))
    return environment.get_template(name).render(css=css, css_hash=_policy_hash(css), js=js, js_hash=_policy_hash(js), **values)


@cache
def read_asset(name: str) -> str:
    """A style sheet or script of this package."""
    return (files("showattend.visualize") / "viewer" / name).read_text(encoding="utf-8")


def data_url(photo: Image.Image, side: int = MAX_SIDE) -> str:
    """The photo as a data URL, made smaller until it has at most MAX_BYTES."""
    small = fit_within(photo, side)
    buffer = io.BytesIO()
    if max(small.size) <= LOSSLESS_SIDE:
        small.save(buffer, "PNG")
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    small.save(buffer, "JPEG", quality=86)
    if buffer.tell() > MAX_BYTES:
        return data_url(small, round(max(small.size) * 0.75))
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _policy_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
