"""What each operation of PyTorch is to arithmetic: a copy, a decision, a rounded number, a sum, a product, several of these.

Whatever is in no list and acts entry by entry is rounded; any other is a sum: its operands are off like terms, its result
like a total.
"""

from enum import Enum
from typing import Any, NamedTuple

import torch

from gradcheck.adapters.pytorch.noise.apart import OURS, THEIRS, theirs


class Kind(Enum):
    """What is done with an operation: the name of the method that does it."""

    COPY = "_copy"
    MADE = "_make"  # from nothing: zeros, random numbers
    CAST = "_cast"
    DECIDE = "_decide"  # its result is a choice
    PICK = "_pick"  # it returns numbers of its operand, and which
    REMAIN = "_remain"  # what a rounded quotient leaves
    ROUND = "_round"
    SUM = "_sum"
    LOGSUM = "_logsum"  # its operand's exponentials are the terms
    PRODUCT = "_product"
    APART = "_apart"


class Rule(NamedTuple):
    """One overload.

    Attributes
    ----------
    kind : Kind
    name : str
        Of the operation, without what marks it as one in place or one of lists.
    writes : tuple of int or str
        Where the arguments stand that it changes; by name where they have no place.
    makes : bool
        Makes floating numbers of nothing, or can of whole ones.
    exact : bool
        Of what is made from nothing: made again in another dtype it is the same numbers.
    """

    kind: Kind
    name: str
    writes: tuple[int | str, ...] = ()
    makes: bool = False
    exact: bool = True


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


COPIES = _names("""
    abs alias amax amin aminmax as_strided as_strided_scatter block_diag broadcast_tensors cat channel_shuffle clamp clamp_max
    clamp_min clip clone complex conj conj_physical constant_pad_nd copy copysign detach diag diag_embed diagonal_backward
    diagonal_scatter embedding expand fill flip fmax fmin gather hardtanh im2col imag index index_copy index_fill index_select
    item lift lift_fresh masked_fill masked_scatter masked_select max max_unpool2d max_unpool3d maximum median min minimum
    nan_to_num nanmedian narrow_copy neg native_channel_shuffle ones_like permute pixel_shuffle pixel_unshuffle positive real reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 repeat repeat_interleave replication_pad1d
    replication_pad2d replication_pad3d resize resize_as roll rot90 scatter select_backward select_scatter set slice_backward
    slice_scatter split_with_sizes_copy stack t take take_along_dim threshold trace_backward transpose tril triu
    _unique _unique2 unfold unique_consecutive unique_dim unsafe_split unsafe_split_with_sizes upsample_nearest1d
    upsample_nearest2d upsample_nearest3d value_selecting_reduction_backward view_as_complex view_as_real where zero
    _chunk_cat _copy_from _conj _conj_physical _fw_primal _local_scalar_dense _neg_view _reshape_alias _reshape_copy
    _unsafe_index _unsafe_masked_index _unsafe_view _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d _assert_async _pack_padded_sequence _pad_packed_sequence
""")
MADE = _names("""
    arange empty empty_like empty_permuted empty_strided eye full full_like linspace logspace new_empty new_empty_strided
    new_full new_ones new_zeros ones ones_like scalar_tensor tril_indices triu_indices zeros zeros_like rand rand_like randn
    randn_like randint randint_like randperm
""")
DECISIONS = _names("""
    all any argmax argmin argsort bernoulli binomial bucketize ceil count_nonzero eq equal floor ge gt heaviside histc isfinite
    isin isinf isnan isneginf isposinf le logical_and logical_not logical_or logical_xor lt multinomial ne nextafter nonzero
    poisson round searchsorted sgn sign signbit trunc floor_divide
""")
PICKS = dict.fromkeys(_names("max min sort topk kthvalue median nanmedian mode cummax cummin"), 0) | {
    "max_pool2d_with_indices": 2,
    "adaptive_max_pool2d": 2,
    "fractional_max_pool2d": 2,
    "max_pool3d_with_indices": 3,
    "adaptive_max_pool3d": 3,
    "fractional_max_pool3d": 3,
}
"""Operations that return numbers and where they stand: along one axis (0), or in so many last axes taken as one."""
_FIRST = _names("mm bmm mv dot vdot linear convolution _convolution mkldnn_linear")
_ADDED = _names("addmm baddbmm addmv addbmm _addmm_activation")
PRODUCTS = dict.fromkeys(_FIRST, (0, 1)) | dict.fromkeys(_ADDED, (1, 2))
"""Products of matrices and convolutions, and which arguments are their factors."""


def _kind(func: Any, name: str, overload: str, tags: Any) -> Kind:
    several = len(func._schema.returns) > 1
    if name in ("_to_copy", "convert_element_type"):
        return Kind.CAST
    if name in PICKS and several:
        return Kind.PICK
    if name in DECISIONS or overload.endswith("_mode"):
        return Kind.DECIDE
    if name in ("remainder", "fmod", "frac"):
        return Kind.REMAIN
    if name in MADE:
        return Kind.MADE
    random = torch.Tag.nondeterministic_seeded in func.tags
    if func.is_view or name in COPIES or random:
        return Kind.COPY
    if name in PRODUCTS:
        return Kind.PRODUCT
    if name in OURS or (name in THEIRS and theirs(func, name) is not None):
        return Kind.APART
    if name == "logcumsumexp":
        return Kind.LOGSUM
    return Kind.ROUND if torch.Tag.pointwise in tags else Kind.SUM


_KNOWN: dict[int, tuple[Any, Rule]] = {}


def rule(func: Any) -> Rule:
    """What an operation is."""
    # By identity: an overload computes its hash in Python, which takes longer than some operations.
    known = _KNOWN.get(id(func))
    if known is None:
        known = _KNOWN[id(func)] = func, _rule(func)
    return known[1]


def _rule(func: Any) -> Rule:
    schema = func._schema
    space, _, full = schema.name.partition("::")
    writes = tuple(
        each.name if each.kwarg_only else place
        for place, each in enumerate(schema.arguments)
        if each.alias_info is not None and each.alias_info.is_write
    )
    name = full.removeprefix("_foreach_")
    if writes and name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    packet: Any = getattr(getattr(torch.ops, space), name, None)
    tags = {tag for overload in packet.overloads() for tag in getattr(packet, overload).tags} if packet else set(func.tags)
    random = torch.Tag.nondeterministic_seeded in func.tags
    kind = _kind(func, name, schema.overload_name, tags)
    makes = kind in (Kind.MADE, Kind.ROUND, Kind.SUM) and not writes
    return Rule(kind, name, writes, makes, not random)
