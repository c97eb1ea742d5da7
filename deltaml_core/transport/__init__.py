"""How messages travel, one way a file; every transport carries the same bytes."""
