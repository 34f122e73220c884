"""A stage, a provider and a check: copy the file you need and change it."""
