"""The benchmark: what is deployed, against what is possible."""
