"""Searching what accuracy, bytes and latency a model can have at once."""
