"""The empty handler: what Lambda's runtime takes by itself, the unit of the benchmark."""


def handle(_event: object, _context: object) -> None:
    """Do nothing."""
