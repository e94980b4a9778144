"""The sweep: all cells of a matrix, one after another, however often it is interrupted.

The truth of a sweep is its folder, not the program that drives it: what is done is read from the
results that are there (`state`), and going on is starting again.
"""
