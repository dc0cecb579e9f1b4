"""Brings CloudWatch Logs and log files in S3 into Grafana Loki, with AWS tags as labels."""

VERSION = "0.1.0"
