"""The subscriber as the stack's custom resource."""
