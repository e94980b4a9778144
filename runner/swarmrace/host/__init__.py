"""The machine under a race: what it is, what a race uses of it, and how it fails."""
