"""Bytes on the wire to numpy arrays and back, and what a signature accepts; no TensorFlow, no network."""
