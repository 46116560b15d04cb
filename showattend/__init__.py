"""Show, attend and tell: caption a photo word by word, and see where the model looked for each word."""

from typing import TYPE_CHECKING, Any

from showattend.version import __version__

if TYPE_CHECKING:
    from showattend.inference import Caption, Captioner, load

__all__ = ["Caption", "Captioner", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Load torch only for those who ask for something that needs it: `showattend --help` must not wait for it."""
    if name in __all__:
        from showattend import inference

        return getattr(inference, name)
    raise AttributeError(f"module 'showattend' has no attribute '{name}'")
