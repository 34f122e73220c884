"""Quality: six layers from schema to people. `layers.py` lists them; `verify.py` runs them."""

from castalia.quality.verify import STAGE, VerifyParams

__all__ = ["STAGE", "VerifyParams"]
