"""Checks Loki, and the stack that ships to it, for `loki-shipper doctor`."""
