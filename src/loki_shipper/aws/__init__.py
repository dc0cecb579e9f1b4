"""Calls to AWS that all functions share: ARNs, requests, S3 objects, tags, errors, rate limits."""
