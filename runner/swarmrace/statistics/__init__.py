"""Medians, ranks, intervals and shares: pure functions of a few numbers that know nothing of
races."""
