"""The backends, which start the processes of a race."""
