"""What a cluster's API answers besides an answer. It being away is PlatformAway."""


class Refused(Exception):
    """The API will not have this, however often it is asked; the text is the API's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Expired(Exception):
    """Changes since this revision are not known any more: list everything anew."""
