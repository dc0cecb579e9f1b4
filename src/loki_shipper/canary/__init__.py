"""Measures the way of a line: from CloudWatch Logs through the shipper to Loki, and back."""
