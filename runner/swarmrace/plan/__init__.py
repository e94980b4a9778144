"""Everything about a race before it starts: cells, needs, checks, schedule and trials."""
