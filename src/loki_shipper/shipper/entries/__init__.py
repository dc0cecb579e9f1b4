"""From log events to the entries of streams."""
