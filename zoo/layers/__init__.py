"""Pieces that know tensors and nothing of tasks.

Shape glossary for this room: `B` batch, `T` time, `D` width, `H` heads.
"""
