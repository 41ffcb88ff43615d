"""What is fixed before a campaign starts: from a plan follow its cases, and who is asked about them."""

import hashlib
import json
from typing import Annotated

from msgspec import Meta

from gradcheck.builds import registry
from gradcheck.campaign.tables import Table as Table
from gradcheck.foundation.describe import Description
from gradcheck.verification.verifier import DEFAULT


class Plan(Description, frozen=True, kw_only=True):
    """A campaign is a sequence of shards; shard k depends on ``seed``, ``layers``, ``size``, k, and the libraries' versions.

    Attributes
    ----------
    seed : int
    layers : tuple of str
        Of which networks are made, by their names in the table of layers; all where there are none.
    backends : tuple of str
        As the registry takes them.
    size : int
        Examples in a shard. Drawing one takes a process of its own, whose start so many hide.
    limit : float
        Seconds after which judging one case is given up.
    """

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    layers: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=100)] = ()
    backends: Annotated[tuple[Annotated[str, Meta(max_length=4096)], ...], Meta(max_length=100)] = DEFAULT
    size: Annotated[int, Meta(ge=1, le=10_000)] = 250
    limit: Annotated[float, Meta(gt=0, le=1e6)] = 60.0

    @property
    def code(self) -> tuple[str, ...]:
        """Backends that are attributes of files and modules, not names in the registry: to load one is to run it."""
        known = registry.registered()
        return tuple(name for name in self.backends if name not in known)


def name_of(table: Table) -> str:
    """A case's name is its content: the hash of its table."""
    return hashlib.blake2b(json.dumps(table, sort_keys=True).encode(), digest_size=16).hexdigest()
