"""The redriver: from the bucket through the shipper's own pipeline, until the bucket is empty."""
