"""The page in Gradio: its tabs, and which function answers which button."""

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from showattend.app.controls import make_controls, options_from_values
from showattend.app.requests import MAX_TEXT, Requests
from showattend.data.images import photo_suffixes
from showattend.errors import InputError

HEAD = "<h1>showattend</h1><p>Give a photo, then touch a word of its caption to see where the model looked for it.</p>"
OWN_HELP = "Where would it look if I said this?"
# Gradio gives the pictures of examples no name for screen readers; it shows them late, and anew with each tab.
NAME_EXAMPLES = """<script>
new MutationObserver(() => document.querySelectorAll(".gallery-item").forEach((item, n) => { item.ariaLabel = `example ${n + 1}`; }))
    .observe(document, {childList: true, subtree: true});
</script>"""
WAITING = '<p class="waiting">Its caption appears here.</p>'
CAPTION_HELP = "Caption a photo. Returns a note, the viewer as HTML, and words, log-probabilities, alphas and gates of each caption."
SCORE_HELP = "Where the model would look if it said a caption of your own, and how probable that caption is. Returns as /caption."
FILES_HELP = "Caption many photos. Returns a note, a page of them as HTML, and the files captions.csv, captions.json and gallery.html."


class OnePhoto(NamedTuple):
    """Components of the first tab."""

    photo: Any
    caption: Any
    own: Any
    score: Any
    outputs: list[Any]


class Settings(NamedTuple):
    """Components of the settings; `controls` by their fields of `GenerationConfig`."""

    models: Any
    gates: Any
    controls: dict[str, Any]


def make_page(requests: Requests, examples: Sequence[Path]) -> Any:
    """The page, not yet served.

    Args:
        examples: photos that visitors can choose
    """
    # A visitor's files are removed within the hour.
    with gr.Blocks(title="showattend", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(HEAD, elem_classes="head")
        with gr.Tab("One photo"):
            one = _lay_out_one_photo(examples)
        with gr.Tab("Many photos"):
            many = gr.Column()
        settings = _lay_out_settings(requests)
        _answer_one_photo(requests, one, settings)
        with many:
            _lay_out_many_photos(requests, settings.controls)
    return page


def _lay_out_one_photo(examples: Sequence[Path]) -> OnePhoto:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = gr.Image(type="filepath", sources=["upload", "clipboard", "webcam"], label="photo", height=300, elem_id="photo")
            caption = gr.Button("Caption", variant="primary", elem_id="caption")
            if examples:
                gr.Examples([[str(path)] for path in examples], [photo], label="examples")
        with gr.Column(scale=3, min_width=300):
            viewer = gr.HTML(WAITING, label="viewer", elem_id="viewer")
            note = gr.HTML("", label="note", elem_id="note", elem_classes="note")
            own = gr.Textbox(label="a caption of your own", info=OWN_HELP, max_lines=1, max_length=MAX_TEXT, elem_id="own")
            score = gr.Button("Show where it would look", elem_id="score")
            numbers = gr.JSON(visible=False, label="captions")
    return OnePhoto(_only_uploads(photo), caption, own, score, [note, viewer, numbers])


def _lay_out_settings(requests: Requests) -> Settings:
    """The settings of both tabs, below them."""
    names = requests.models.names
    gr.HTML("<h2>Settings</h2>", elem_classes="head")
    models = gr.CheckboxGroup(names, value=names, label="models", visible=len(names) > 1, elem_id="models")
    controls = make_controls(requests.models.defaults, requests.models.default_words, requests.models.unavailable)
    gates = gr.Checkbox(False, label="gates", info="show the cell's gates at each word", elem_id="gates")
    return Settings(models, gates, controls)


def _answer_one_photo(requests: Requests, one: OnePhoto, settings: Settings) -> None:
    """What happens when the photo changes, and when a button of the first tab is pressed."""

    def caption(photo: str | None, models: list[str], gates: bool, **values: Any) -> tuple[str, str, Any]:
        with _readable_errors(photo):
            return requests.caption(_given(photo), options_from_values(values), models, gates)

    def change(photo: str | None, models: list[str], gates: bool, **values: Any) -> tuple[str, str, Any]:
        return caption(photo, models, gates, **values) if photo else ("", WAITING, None)

    def score(photo: str | None, caption: str, models: list[str], gates: bool) -> tuple[str, str, Any]:
        with _readable_errors(photo):
            return requests.score(_given(photo), caption, models, gates)

    shown = {"photo": one.photo, "models": settings.models, "gates": settings.gates}
    ours, theirs = {**shown, **settings.controls}, {**shown, "caption": one.own}
    one.caption.click(caption, inputs_kwargs=ours, outputs=one.outputs, api_name="caption", api_description=CAPTION_HELP)
    one.photo.change(change, inputs_kwargs=ours, outputs=one.outputs, api_visibility="private")
    own = [one.score.click, one.own.submit]
    gr.on(own, score, inputs_kwargs=theirs, outputs=one.outputs, api_name="score", api_description=SCORE_HELP)


def _lay_out_many_photos(requests: Requests, controls: dict[str, Any]) -> None:
    """The second tab, with its button's answer."""
    files = _only_uploads(gr.File(file_count="multiple", file_types=sorted(photo_suffixes()), label="photos", elem_id="files"))
    first, *others = requests.models.names
    run = gr.Button(f"Caption all with {first}" if others else "Caption all", variant="primary", elem_id="run")
    note = gr.HTML("", label="note", elem_id="files-note", elem_classes="note")
    written = gr.File(file_count="multiple", interactive=False, label="captions", elem_id="written")
    gallery = gr.HTML("", label="gallery", elem_id="gallery")

    def caption_files(photos: list[str] | None, progress: Any = gr.Progress(), **values: Any) -> tuple[str, str, list[str]]:  # noqa: B008
        def advance(done: int, name: str) -> None:
            progress((done, len(photos or ())), desc=name, unit="photos")

        with _readable_errors(*(photos or ())):
            if not photos:
                raise InputError("no photo is given: drop some, or choose them")
            return requests.caption_files([Path(photo) for photo in photos], options_from_values(values), advance)

    inputs, outputs = {"photos": files, **controls}, [note, gallery, written]
    run.click(caption_files, inputs_kwargs=inputs, outputs=outputs, api_name="caption_files", api_description=FILES_HELP)


def _given(photo: str | None) -> Path:
    if not photo:
        raise InputError("no photo is given: drop, paste or choose one")
    return Path(photo)


@contextmanager
def _readable_errors(*uploads: str | None) -> Iterator[None]:
    """Show a visitor one sentence, without this machine's paths; other errors are the server's own, and their traceback stays here."""
    try:
        yield
    except InputError as error:
        message = str(error)
        for upload in filter(None, uploads):
            message = message.replace(upload, Path(upload).name)
        raise gr.Error(html.escape(message, quote=False), duration=None, print_exception=False, title="That did not work") from error


def _only_uploads(component: Any) -> Any:
    """The component, which hands on the path of an uploaded file without opening it, and downloads nothing.

    Gradio's own would open the file with any of Pillow's formats, some of which start programs, and fetch an address in its place.
    """

    def path_of(payload: Any) -> Any:
        if payload is None:
            return None
        return [one.path for one in payload] if hasattr(payload, "root") else payload.path

    async def keep_path(path: Any) -> Any:
        if str(path).startswith(("http:", "https:")):
            raise gr.Error("an address is no photo: upload a file", print_exception=False)
        return await move(path)

    move = component.async_move_resource_to_block_cache
    component.preprocess, component.async_move_resource_to_block_cache = path_of, keep_path
    return component
