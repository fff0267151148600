"""Recipes: what is done to a model to make it small, and how each step is trained."""
