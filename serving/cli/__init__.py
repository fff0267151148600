"""The command `serving`."""
