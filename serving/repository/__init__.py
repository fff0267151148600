"""Versions on disk, versions in memory, and the way between them."""
