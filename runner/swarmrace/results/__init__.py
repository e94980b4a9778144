"""The results folder: what is stored, in which format, and how it is read."""
