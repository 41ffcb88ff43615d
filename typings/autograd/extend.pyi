from collections.abc import Callable, Sequence
from typing import Any, overload

@overload
def primitive(f: Callable[[Any], Any]) -> Callable[..., Any]: ...
@overload
def primitive(f: Callable[..., Any]) -> Callable[..., Any]: ...
@overload
def defvjp(f: Callable[..., Any], *makers: Callable[[Any, Any], Callable[[Any], Any]]) -> None: ...
@overload
def defvjp(f: Callable[..., Any], *makers: Callable[..., Any], argnums: Sequence[int]) -> None: ...

VJPNode: Any
vspace: Any
