"""Layers as rows of a table, for TOML and JSON: blocks hold rows of their own, and a row may have a name."""

from collections.abc import Mapping
from typing import Any, cast

from gradcheck.errors import DescriptionError
from gradcheck.foundation.describe import decode_tagged, encode_tagged, join
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
        tables = {index: cast("dict[str, Any]", row) for index, row in enumerate(rows) if isinstance(row, dict)}
        given = {index: row["name"] for index, row in tables.items() if "name" in row}
        for index, name in given.items():
            check_name(name, f"{own}[{index}].name")
        if given:
            raw["names"] = tuple(given.get(index, str(index)) for index in range(len(rows)))
    return raw


def _row(layer: Layer) -> dict[str, Any]:
    row = encode_tagged(layer, LAYERS)
    if isinstance(layer, Block):
        del row["names"]
        row["layers"] = rows_of(layer)
    if isinstance(layer, Tied):
        row |= {"layer": _row(layer.layer), "parameters": dict(layer.parameters)}
    return row


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
