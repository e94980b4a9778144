"""Measurements of the figures that swarmrace promises; `python -m benchmarks` runs all of them.

Each module has a click command `main` that prints one JSON object per line: name, value, unit,
spread, n, aim, met.
"""
