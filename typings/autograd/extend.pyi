from collections.abc import Callable
from typing import Any

def primitive(f: Callable[[Any], Any]) -> Callable[..., Any]: ...
def defvjp(f: Callable[..., Any], *makers: Callable[[Any, Any], Callable[[Any], Any]]) -> None: ...

VJPNode: Any
vspace: Any
