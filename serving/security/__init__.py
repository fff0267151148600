"""Who may ask what, how often, over which connection, and which graphs may be loaded."""
