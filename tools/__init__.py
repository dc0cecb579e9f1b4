"""Commands for maintainers, which are not part of the package."""
