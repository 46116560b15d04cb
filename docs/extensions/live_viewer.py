"""The viewer on the site, rendered at each build by the package itself from the data of one page.

After `showattend attend … --out viewer.html`, `python docs/extensions/live_viewer.py viewer.html` keeps the data and the photo of that
page in docs/viewer; styles and script are always those of the package.
"""

import base64
import json
import re
import sys
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx

from showattend.visualize.viewer.page import render_viewer

FOLDER = Path(__file__).parents[1] / "viewer"
PHOTO = re.compile(r'src="data:image/png;base64,([^"]+)"')
DATA = re.compile(r"<script type=\"application/json\"[^>]*>(.*?)</script>", re.S)


def keep(page: str) -> None:
    """Write the data and the photo of a page that `attend` has made; the photo must be small enough to be a PNG there."""
    photo, data = PHOTO.search(page), DATA.search(page)
    if photo is None or data is None:
        raise SystemExit("this is no page of `showattend attend` with a small photo")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "photo.png").write_bytes(base64.b64decode(photo[1]))
    (FOLDER / "data.json").write_text(json.dumps(json.loads(data[1])) + "\n", encoding="utf-8")


def render(app: Sphinx, error: Exception | None) -> None:
    """Write viewer.html beside the other static files."""
    if error is None and app.builder.format == "html":
        data = json.loads((FOLDER / "data.json").read_text(encoding="utf-8"))
        with Image.open(FOLDER / "photo.png") as photo:
            page = render_viewer(photo, data)
        (Path(app.outdir) / "_static" / "viewer.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Render when the static files have been copied."""
    app.connect("build-finished", render)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    keep(Path(sys.argv[1]).read_text(encoding="utf-8"))
