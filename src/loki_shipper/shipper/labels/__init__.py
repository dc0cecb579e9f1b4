"""From log data and tags to the labels of a stream."""
