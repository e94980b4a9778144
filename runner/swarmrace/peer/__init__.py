"""A peer's life: joining the race, its part in each run, one transfer."""
