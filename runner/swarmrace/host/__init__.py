"""The machine under a race: what it lacks, and whose doing that is."""
