"""The settings of the page: a control for each field of `GenerationConfig`, as the commands have an option for each."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import gradio as gr

from showattend.generation_config import SAMPLING, GenerationConfig, field_descriptions


class Range(NamedTuple):
    """What a slider covers: a visitor's request must not fill the memory."""

    minimum: float
    maximum: float
    step: float


RANGES = {
    "beam": Range(1, 20, 1),
    "max_length": Range(1, 60, 1),
    "length_penalty": Range(0, 2, 0.05),
    "num_captions": Range(1, 10, 1),
    "min_length": Range(0, 40, 1),
    "no_repeat_ngram": Range(0, 5, 1),
    "groups": Range(1, 5, 1),
    "diversity": Range(0, 5, 0.1),
    "mutual_information": Range(0, 1, 0.05),
    "temperature": Range(0.05, 3, 0.05),
    "top_k": Range(0, 200, 1),
    "top_p": Range(0.05, 1, 0.05),
    "seed": Range(0, 1000, 1),
}
WORDS = {"must_include": "required words", "ban": "banned words"}
LABELS = {"num_captions": "captions", "max_length": "longest caption", "min_length": "shortest caption"}
FIRST = ("num_captions", "beam", "max_length")  # of the search; the others stand behind them
FIELDS = {field.name: field for field in fields(GenerationConfig)}


def make_controls(defaults: GenerationConfig, words: Mapping[str, str], hidden: Collection[str]) -> dict[str, Any]:
    """The controls in three groups side by side, by the names of their fields.

    Args:
        defaults: the settings that the model was validated with
        words: those that they require and ban, by the names of the fields
        hidden: fields whose controls are not shown
    """
    search = [name for name in FIELDS if name not in (*SAMPLING, *WORDS, *FIRST)]
    controls: dict[str, Any] = {}
    with gr.Row():
        for title, names in (("Search", (*FIRST, *search)), ("Required and banned words", tuple(WORDS)), ("Sampling", SAMPLING)):
            with gr.Column(min_width=240), gr.Accordion(title, open=False):
                for name in names:
                    value = words[name] if name in WORDS else getattr(defaults, name)
                    controls[name] = _make_control(name, value, visible=name not in hidden)
    return controls


def _make_control(name: str, value: Any, *, visible: bool) -> Any:
    text = field_descriptions(GenerationConfig)[name]
    shown = {"info": text.removesuffix(", by their ids"), "elem_id": name, "visible": visible}
    if name in WORDS:
        return gr.Textbox(value, label=WORDS[name], placeholder="words, with spaces between them", max_lines=1, **shown)
    shown["label"] = LABELS.get(name, name.replace("_", " "))
    if isinstance(value, bool):
        return gr.Checkbox(value, **shown)
    minimum, maximum, step = RANGES[name]
    limits = {"minimum": min(minimum, value), "maximum": max(maximum, value), "step": step}
    return gr.Slider(value=value, precision=0 if isinstance(FIELDS[name].default, int) else None, **limits, **shown)


def options_from_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The controls' values as options of `inference.generation_config`: words as texts, numbers as the fields have them."""
    options: dict[str, Any] = {}
    for name, value in values.items():
        kind: type = type(FIELDS[name].default)
        options[name] = ([value] if value and value.strip() else []) if name in WORDS else kind(value)
    return options
