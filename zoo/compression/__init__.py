"""A weight transform before fit, its schedule during, its proof after; on any functional Keras 3 model."""
