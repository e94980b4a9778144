"""The sweep: races all cells of a matrix, one after another, and resumes after any interruption.

The state of a sweep is its folder, not the program that drives it. What is done is read from the
stored results (`state`); to resume a sweep is to start it again.
"""
