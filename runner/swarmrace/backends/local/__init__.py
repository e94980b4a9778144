"""Races on one machine, with a process for every peer."""
