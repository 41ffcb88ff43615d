"""What pyright needs to know of a library without types: every name exists, of type Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...
