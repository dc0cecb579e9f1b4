"""Handlers to compare with, and one to look into; each is loaded on its own, by file."""
