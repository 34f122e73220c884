"""Castalia turns a frontier model's answers into licensed, traceable training data and a measured target model."""

__version__ = "0.1.0"
