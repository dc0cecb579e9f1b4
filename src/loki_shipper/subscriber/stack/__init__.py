"""The stack's custom resource: whether its request failed, and the answer to CloudFormation."""
