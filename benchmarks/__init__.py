"""Benchmarks: `python -m benchmarks NAME`. One module each with `run(gold, quick)`; aims stand in `aims.py`."""
