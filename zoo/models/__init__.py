"""Families of models: hyperparameters in, an uncompiled functional `keras.Model` out; one file a family."""
