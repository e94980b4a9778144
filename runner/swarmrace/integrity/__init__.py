"""Whether a results folder is what a race left: hashes of its files, and records against curves."""
