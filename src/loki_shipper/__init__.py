"""Brings CloudWatch Logs into Grafana Loki, with the log group's AWS tags as labels."""

VERSION = "0.1.0"
