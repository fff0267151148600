"""A trained model in, `<root>/<name>/<version>/` out, with signatures, warm-up requests and a manifest."""
