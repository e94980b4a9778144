"""Races on Kubernetes: pods, chart files, and fetching results."""
