"""The function that CloudWatch Logs invokes: one file a stage, composed in `pipeline`."""
