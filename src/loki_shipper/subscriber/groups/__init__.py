"""Lists log groups, and decides which of them are linked."""
