"""One run of the subscriber over log groups."""
