"""What a node keeps, so that it can be killed at any moment: one SQLite file in its home."""
