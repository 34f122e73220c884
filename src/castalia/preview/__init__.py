"""What a run would ask and cost, before it asks.

typical.py    one call of each shipped prompt, where nothing is known yet
seen.py       what the ledger knows about prompts
counts.py     how many calls follow from what is in the store
estimate.py   counts times tokens times prices
dry_run.py    the questions themselves, written down instead of sent
"""
