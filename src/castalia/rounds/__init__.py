"""Rounds of training: what one is trained from, what it left on disk, how its models measure, and the gate's decision.

inputs.py      recipe and accepted records
record.py      training/round-N as it lies on disk; which models trained on a record
measure.py     a model folder on the frozen suite, once; served.py: a model behind a server
promotion.py   one round: train, choose on DEV, decide on GATE
"""
