"""Rules for what lines say: read, parsed, compiled, and explained."""
