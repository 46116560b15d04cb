"""Valid annotation files of every format, and hypothesis strategies that damage them."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

PNG = "a.png"  # a photo that lies in the folder
CAPTION = "a red star is above a blue circle ."
CAPTIONS_COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": PNG, "width": 64, "height": 64}],
    "annotations": [{"id": 1, "image_id": 1, "caption": CAPTION}],
}
INSTANCES: dict[str, Any] = {
    "categories": [{"id": 3, "name": "star"}],
    "images": CAPTIONS_COCO["images"],
    "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 30.5, 20]}],
}
KARPATHY: dict[str, Any] = {
    "images": [
        {"filename": PNG, "split": split, "sentences": [{"raw": CAPTION, "tokens": CAPTION.split()}], "cocoid": number}
        for number, split in enumerate(("train", "val", "test"))
    ]
}
RESULTS: list[Any] = [{"image_id": 0, "caption": CAPTION}, {"image_id": 1, "caption": "a star"}]
TEXTCAPS: dict[str, Any] = {"data": [{"image_id": "a", "caption_str": CAPTION, "reference_strs": [CAPTION], "set_name": "val"}]}
RECORDS: list[Any] = [{"image": PNG, "caption": CAPTION}, {"image": PNG, "captions": ["a star", "a circle"], "split": "val"}]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)
METADATA = json.dumps({"file_name": PNG, "text": CAPTION}) + "\n"
TOKENS = f"{PNG}#0\t{CAPTION}\n{PNG}#1\tA star .\n"
TABLE = f'image,caption,split\n{PNG},"{CAPTION}",val\n{PNG},a star,val\n'
SENTENCES = "[/EN#1/other A red star] is above [/EN#2/other a blue circle] .\n"
XML = """<annotation><size><width>64</width><height>64</height></size>
<object><name>1</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"""
VOCABULARY = ["<pad>", "<start>", "<end>", "<unk>", "a", "star"]

NASTY_TEXTS = (
    "",
    "\0",
    "\ud800",
    "a\nb",
    "../../etc/passwd",
    "/dev/zero",
    "os:system",
    "\u202e",
    "x" * 300,
    "#",
    "\t",
    '"',
    "NaN",
    "{{7*7}}",
)
NASTY_NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NASTY_NUMBERS),
    st.integers(),
    st.floats(),
    st.sampled_from(NASTY_TEXTS),
    st.text(max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@st.composite
def damaged_json(draw: st.DrawFn, valid: Any) -> bytes:
    """A valid content of which some values are replaced, deleted, repeated or renamed."""
    content = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(content)))
        if not place:
            content = draw(st.one_of(VALUES, st.just(content)))
            continue
        holder = content
        for key in place[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(("replace", "replace", "replace", "delete", "repeat")))
        if how == "replace":
            holder[place[-1]] = draw(VALUES)
        elif how == "delete":
            del holder[place[-1]]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[place[-1]]))
        else:
            holder[draw(st.text(max_size=5))] = holder[place[-1]]
    return json.dumps(content, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def damaged_bytes(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid file that is cut, or in which stretches of bytes are replaced."""
    content = valid
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        inserted = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from([text.encode("utf-8", "surrogatepass") for text in NASTY_TEXTS]),
                st.sampled_from((b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x1a", b"[" * 5000, b"1" * 5000, b'"' + b"y" * 200_000)),
            )
        )
        content = content[:start] + inserted + (b"" if draw(st.integers(0, 3)) == 0 else content[end:])
    return content


def json_file(valid: Any) -> st.SearchStrategy[bytes]:
    """Damaged JSON files, by value or by byte."""
    return st.one_of(damaged_json(valid), damaged_json(valid), damaged_bytes(json.dumps(valid).encode()), st.binary(max_size=40))


def text_file(valid: str) -> st.SearchStrategy[bytes]:
    """Damaged text files."""
    return st.one_of(
        damaged_bytes(valid.encode()), damaged_bytes(valid.encode()), st.binary(max_size=60), st.text(max_size=60).map(_encode)
    )


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
