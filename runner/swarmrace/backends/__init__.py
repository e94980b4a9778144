"""Who starts the processes of a race."""
