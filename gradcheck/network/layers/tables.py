"""Layers as rows of a table, for TOML and JSON: blocks hold rows of their own, and a row may have a name."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import decode_tagged, encode_tagged, join, tag_of
from gradcheck.network.layers import LAYERS
from gradcheck.network.layers.base import Layer
from gradcheck.network.layers.blocks import NESTED, Block, Tied, check_name, named


def rows_of(block: Any) -> list[dict[str, Any]]:
    """The layers of a block, or of a network."""
    rows = [_row(layer) for layer in block.layers]
    return [{"name": name, **row} for (name, _), row in zip(named(block), rows, strict=True)] if block.names else rows


def with_layers(table: Mapping[str, Any], path: str = "", depth: int = 0) -> dict[str, Any]:
    """The table with layers, and their names, in place of rows."""
    raw = dict(table)
    if isinstance(raw.get("layers"), list):
        rows, own = cast("list[Any]", raw["layers"]), join(path, "layers")
        raw["layers"] = tuple(_layer(row, f"{own}[{index}]", depth) for index, row in enumerate(rows))
        given = {index: row["name"] for index, row in enumerate(rows) if isinstance(row, dict) and "name" in row}
        for index, name in given.items():
            check_name(name, f"{own}[{index}].name")
        if given:
            raw["names"] = tuple(given.get(index, str(index)) for index in range(len(rows)))
    return raw


def _row(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, Block):
        fields = {field.name: getattr(layer, field.name) for field in msgspec.structs.fields(layer)}
        own = {name: msgspec.to_builtins(value) for name, value in fields.items() if name not in ("layers", "names")}
        return {"type": tag_of(layer, LAYERS), **own, "layers": rows_of(layer)}
    if isinstance(layer, Tied):
        return {"type": tag_of(layer, LAYERS), "layer": _row(layer.layer), "parameters": dict(layer.parameters)}
    return encode_tagged(layer, LAYERS)


def _layer(row: Any, path: str, depth: int) -> Layer:
    if depth > NESTED:
        raise DescriptionError(f"blocks in blocks {depth} deep, at most {NESTED} can be verified", path)
    fields: Any = row
    if isinstance(row, dict):
        fields = with_layers(cast("dict[str, Any]", row), path, depth + 1)
        fields.pop("name", None)
        if "layer" in fields:
            fields["layer"] = _layer(fields["layer"], join(path, "layer"), depth + 1)
    return decode_tagged(fields, LAYERS, path, "layer")
