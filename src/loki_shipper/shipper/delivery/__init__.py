"""From entries to what became of them: batches, pushes, answers, and the bucket."""
