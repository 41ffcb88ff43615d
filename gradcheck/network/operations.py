"""The open sets of operations: all that a layer or loss owes beyond its description, in one list.

Each is a `functools.singledispatch` function on the kind of layer or loss, and no method of it. A description is data that
every build imports; were its meaning a method, a build could compute with the reference that it is judged by. And a third
party can give a meaning to a layer without touching a file of ours.

operation, in gradcheck.network  what it returns                            where none is registered for a kind
===============================  =========================================  =======================================
reference.apply                  output of a layer                          refused
reference.losses                 losses of which the network's is the mean  refused
reference.copies.each_copy       `apply` at many parameters at once         `apply`, one after the other
reference.tangents.push          tangents of a layer's output               `apply` by complex step
reference.tangents.loss_slopes   slopes of the mean loss                    `losses` by complex step
analysis.loss_rounding           `loss_errors`: rounding of a loss and its  `losses` of each entry
                                 gradient
===============================  =========================================  =======================================

So a third party's layer or loss is one function. How rounding goes through a layer follows from `apply`, which is written in
the functions of NumPy that `gradcheck.network.analysis.nodes` knows, and `gradcheck.network.reference.primitives`.
=======
=================================  ===================================  ==================================
operation, in `gradcheck.network`  what it returns                      where none is registered for a kind
=================================  ===================================  ==================================
reference.apply                    output of a layer                    refused
reference.losses                   losses of which the network's is     refused
                                   the mean
reference.copies.each_copy         `apply` at many parameters at once   `apply`, one after the other
reference.tangents.push            tangents of a layer's output         `apply` by complex step
reference.tangents.loss_slopes     slopes of the mean loss              `losses` by complex step
analysis.loss_rounding             rounding of a loss and its gradient  `losses` of each entry
.loss_errors
=================================  ===================================  ==================================

So a third party's layer or loss is one function. It is written in NumPy, with what `analysis.nodes` knows: what has
no rule there is refused. A new primitive (`reference.primitives.primitive`) enters its `analysis.tape.Rule` in
`analysis.nodes.RULES`: value, spread, own rounding and the way back.
"""


def unregistered(operation: str, row: object) -> NotImplementedError:
    """What the default of an operation raises: for a row of ours a bug, for another's what there is to do."""
    kind = type(row)
    if kind.__module__.partition(".")[0] == "gradcheck":
        return NotImplementedError(f"{operation} knows no {kind.__name__}: this is a bug in gradcheck, please report it")
    return NotImplementedError(
        f"{operation} knows no {kind.__name__}: register a function for it with @{operation}.register "
        f"(gradcheck.network.operations has the list)"
    )
