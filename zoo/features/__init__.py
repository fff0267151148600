"""Raw example in, model input out: the same Keras layers in the training pipeline and inside the exported graph."""
