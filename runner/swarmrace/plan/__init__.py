"""What a scenario comes to before it is raced: cells, needs, checks, schedule and trials."""
