"""What only maintainers run, one file a job; none of it is in the package."""
