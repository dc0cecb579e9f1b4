"""Makes buckets with log files send their notifications to the stack's queue."""
