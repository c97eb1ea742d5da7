"""Secure measurement of an encrypted model, one protocol a file."""
