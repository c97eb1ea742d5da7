"""A running participant: role + wallet + chain + transport + store. Killed at any moment it resumes, and the run ends in the same result."""
