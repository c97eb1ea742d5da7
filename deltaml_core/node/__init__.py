"""A running participant: role + wallet + chain + transport + store. Killed at any moment, it resumes to the same result."""
