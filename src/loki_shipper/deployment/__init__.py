"""Deploys Loki-Shipper as a CloudFormation stack, from the installed package alone."""
