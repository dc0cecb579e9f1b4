"""Reads lines back that CloudWatch Logs did not deliver, and ships them."""
