"""How the page looks: the viewer's colours and the system's own fonts, so that nothing is loaded from elsewhere."""

from typing import Any

import gradio as gr

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"]
MONOSPACE = ["ui-monospace", "Consolas", "monospace"]
ACCENT, ACCENT_DARK = "#c2410c", "#ff9a52"
QUIET, QUIET_DARK = "#62656e", "#a0a4ae"
CSS = """
.gradio-container { max-width: 78rem !important; margin-inline: auto !important; }
.head h1 { font-size: 1.15rem; font-weight: 600; margin: 0; }
.head h2 { font-size: 1rem; font-weight: 600; margin: .5rem 0 0; }
.dark { --color-accent: #ff9a52; }
.note:not(:has(p)) { display: none; }
.head p, .note, .waiting { color: var(--body-text-color-subdued); font-size: .875rem; margin: 0; }
footer .divider { display: none !important; }
"""


def make_theme() -> Any:
    """Gradio's plainest theme with the viewer's accent colour."""
    return gr.themes.Base(primary_hue="orange", neutral_hue="zinc", font=FONTS, font_mono=MONOSPACE).set(
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_hover="#9a3412",
        button_primary_text_color="white",
        button_primary_background_fill_dark=ACCENT_DARK,
        button_primary_background_fill_hover_dark="#ffb07a",
        button_primary_text_color_dark="#1b1205",
        slider_color=ACCENT,
        slider_color_dark=ACCENT_DARK,
        color_accent=ACCENT,
        link_text_color=ACCENT,
        link_text_color_hover=ACCENT,
        link_text_color_visited=ACCENT,
        link_text_color_dark=ACCENT_DARK,
        link_text_color_hover_dark=ACCENT_DARK,
        link_text_color_visited_dark=ACCENT_DARK,
        body_text_color_subdued=QUIET,
        body_text_color_subdued_dark=QUIET_DARK,
        block_info_text_color=QUIET,
        block_info_text_color_dark=QUIET_DARK,
        block_label_text_color=QUIET,
        block_label_text_color_dark=QUIET_DARK,
        block_title_text_color="*body_text_color",
    )
