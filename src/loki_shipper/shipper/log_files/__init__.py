"""Read log files from S3: what they are, and their lines as log events."""
