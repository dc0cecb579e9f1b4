"""What `loki-shipper doctor` looks at: Loki, and the stack that ships to it."""
