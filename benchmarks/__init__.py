"""What swarmrace promises in figures, measured. `python -m benchmarks` runs all of it.

Each module offers a click command `main` and prints one JSON object a line: name, value, unit,
spread, n, aim, met.
"""
