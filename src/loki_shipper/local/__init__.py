"""The local room: what stands in for AWS, Lambda and Loki on one machine."""
