"""The web page, in files that a browser takes as they are."""
