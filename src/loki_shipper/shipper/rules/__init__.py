"""Rules: the file, its cache, the parser, the compiler, and what they do to a line."""
