"""Entries: from log events to the entries of streams, and their protobuf."""
