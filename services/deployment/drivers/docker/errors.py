"""What an engine answers when it does not do it."""


class Refused(Exception):
    """The engine would not: the request is one that it cannot fulfil, today or ever. status: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotBuilt(Exception):
    """No image came about; the text says why and what to do."""
