"""Medians, ranks, intervals and shares: pure functions of a few numbers, with no race in them."""
