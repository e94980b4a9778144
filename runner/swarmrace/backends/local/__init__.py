"""Races on one machine: a process for every peer."""
