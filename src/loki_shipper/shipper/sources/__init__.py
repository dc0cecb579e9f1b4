"""From the event of an invocation to log data. The door is `event`."""
