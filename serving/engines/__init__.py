"""A version directory in, arrays to arrays out: one file for each engine."""
