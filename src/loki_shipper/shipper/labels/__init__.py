"""Decide the labels of a stream from log data, tags and settings."""
