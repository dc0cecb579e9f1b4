"""Links log groups to the shipper: which, why, and without losing a group's first lines."""
