"""The parent of a benchmark's way, where the way runs in the test's own process."""

from typing import Any


class Parent:
    """The parent's end of a way that runs in this process: says what it is told to, and keeps what it hears."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.heard: list[Any] = []

    def recv(self) -> Any:
        return self.says.pop(0)

    def send(self, message: Any) -> None:
        self.heard.append(message)
