"""The benchmark of the deployed functions."""
