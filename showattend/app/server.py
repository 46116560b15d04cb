"""Serves the page on this machine until the user ends it; nothing is asked of any other machine, unless the user shares it."""

import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from showattend.app.models import ModelSet
from showattend.errors import InputError
from showattend.visualize import DrawingOptions

QUEUE = 100  # requests that wait; one more is told that the server is busy


@dataclass(frozen=True)
class ServerOptions:
    """How the page is served.

    Args:
        host: name or address of this machine that the page listens on
        port: None takes the first free one from 7860 on
        max_upload: largest file that a visitor may upload, in megabytes
        share: ask Gradio's servers for a public address
        browser: open the page in this machine's browser
    """

    host: str = "127.0.0.1"
    port: int | None = None
    max_upload: int = 100
    share: bool = False
    browser: bool = True


def serve(
    models: ModelSet,
    drawing: DrawingOptions,
    examples: Sequence[Path],
    options: ServerOptions,
    announce: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Serve the page until `stop` is set, or an exception ends the wait.

    Args:
        examples: photos that visitors can choose
        announce: is told the page's address

    Raises:
        InputError: Gradio is not installed, or the port is taken.
    """
    with TemporaryDirectory(prefix="showattend-app-") as folder:
        # Gradio reads these when it is imported, or when a component is made.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_TEMP_DIR": folder}
        page = _launch(_make_page(models, drawing, examples, Path(folder)), options)
        try:
            announce(page.share_url or page.local_url)
            if options.browser:
                webbrowser.open(page.local_url)
            (stop or threading.Event()).wait()
        finally:
            page.close(verbose=False)


def _make_page(models: ModelSet, drawing: DrawingOptions, examples: Sequence[Path], folder: Path) -> Any:
    try:
        from showattend.app.page import make_page
    except ModuleNotFoundError as error:
        raise InputError(f"the page needs Gradio ({error}): pip install 'showattend[app]'") from error
    from showattend.app.requests import Requests

    return make_page(Requests(models, drawing, folder), examples)


def _launch(page: Any, options: ServerOptions) -> Any:
    """Start to serve in a thread of its own; what would ask other machines, or tell visitors of this one, is off."""
    from showattend.app.page import NAME_EXAMPLES
    from showattend.app.theme import CSS, make_theme

    page.queue(default_concurrency_limit=1, max_size=QUEUE)
    try:
        socket.getaddrinfo(options.host, options.port)  # Gradio would try an address that there is not at port after port
        page.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            max_file_size=options.max_upload * 10**6,
            theme=make_theme(),
            css=CSS,
            head=NAME_EXAMPLES,
            footer_links=["api"],
            prevent_thread_lock=True,
            inbrowser=False,
            quiet=True,
            show_error=False,
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
        )
    except (OSError, ValueError) as error:
        if "empty port" in str(error) and options.port:
            raise InputError(
                f"port {options.port} of {options.host} is taken: give another --port, or none for the first free one"
            ) from error
        raise InputError(f"cannot serve the page on {options.host}, port {options.port or '7860 and up'}: {error}") from error
    return page
