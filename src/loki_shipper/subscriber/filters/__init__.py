"""Reads, plans and changes the subscription filters of log groups."""
