"""What a transfer records while it runs."""
