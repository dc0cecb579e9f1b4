"""From the event of an invocation to log data."""
