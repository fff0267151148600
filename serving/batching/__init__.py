"""Requests that wait together are answered together: one call of the engine for several of them."""
