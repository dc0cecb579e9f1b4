"""Deploys Loki-Shipper as a CloudFormation stack, out of the installed package alone."""
