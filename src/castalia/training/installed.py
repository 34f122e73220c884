"""Whether the training extra is there, found without importing it."""

from importlib.util import find_spec

from castalia.errors import ConfigError

NEEDED = ("torch", "transformers", "trl")


def require_training() -> None:
    """Raises ConfigError when the training extra is not installed, with the way to get it and the way around it."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this trains or loads a model, but {', '.join(missing)} is not installed: pip install 'castalia[train]'; "
            f"the demo's data half runs without (--data-only)"
        )
