"""Handlers to compare with, and one with a profiler; each is loaded by its file."""
