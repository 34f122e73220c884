"""The checks, one file per layer. Each module ends with its declarations; `quality/layers.py` lists them."""
