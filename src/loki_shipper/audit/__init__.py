"""Compares what CloudWatch Logs took in with what the shipper did and with what Loki holds."""
