"""One run of the subscriber: it links and unlinks log groups, and remembers and reports it."""
