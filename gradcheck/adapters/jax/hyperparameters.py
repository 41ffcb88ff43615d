# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# (JAX's own annotations are partial.)
"""Numbers of Python's in Equinox modules: how often to drop, what to add within a root."""

import sys
from collections.abc import Mapping
from typing import Any

import jax

from gradcheck.foundation.objects.registries import name_of_part


def hyperparameters(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> frozenset[str]:
    """Their names. ``equinox.filter_grad`` moves arrays alone, and the modules cut gradients to the others off."""
    equinox = sys.modules.get("equinox")
    if equinox is None:
        return frozenset()
    given = {"args": args, "kwargs": dict(kwargs)}

    def is_module(node: Any) -> bool:
        return isinstance(node, equinox.Module)

    found = {
        (*path, *inner)
        for path, node in jax.tree_util.tree_flatten_with_path(given, is_leaf=is_module)[0]
        if is_module(node)
        for inner, leaf in jax.tree_util.tree_flatten_with_path(node)[0]
        if isinstance(leaf, float | complex)
    }
    return frozenset(".".join(map(name_of_part, path)) for path in found)
