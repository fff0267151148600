"""Benches that go through every room: training, compression, export, measuring."""
