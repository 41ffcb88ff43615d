"""What is fixed before a campaign starts: from a plan follow its cases, and who is asked about them."""

import hashlib
import json
from typing import Annotated, Any, TypeAlias

import msgspec

from gradcheck.verification.verifier import DEFAULT

Table: TypeAlias = dict[str, Any]  # a case as a file holds it


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign is a sequence of shards; shard k depends on ``seed``, ``layers``, ``size``, k, and the libraries' versions.

    Attributes
    ----------
    seed : int
    layers : tuple of str
        Activations to choose from, by their names in the table of layers; all where there are none.
    backends : tuple of str
        As the registry takes them.
    size : int
        Examples in a shard. Drawing one takes a process of its own, whose start so many hide.
    limit : float
        Seconds after which judging one case is given up.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    layers: tuple[str, ...] = ()
    backends: tuple[str, ...] = DEFAULT
    size: Annotated[int, msgspec.Meta(ge=1)] = 250
    limit: float = 60.0


def name_of(table: Table) -> str:
    """A case's name is its content: the hash of its table."""
    return hashlib.blake2b(json.dumps(table, sort_keys=True).encode(), digest_size=16).hexdigest()
