"""Does nothing: the time of Lambda's runtime alone."""


def handle(_event: object, _context: object) -> None:
    """Do nothing."""
