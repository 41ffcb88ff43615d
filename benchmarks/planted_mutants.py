"""Mistakes as people make them, as changes of the manual build's source: a file, what stands there, and what instead.

`load` copies the package under another name, changes it, and makes it importable: ``planted_0:mutant`` is then a backend.
"""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import gradcheck_backends.manual

SOURCE = Path(gradcheck_backends.manual.__file__).parent


class Size(NamedTuple):
    """Of a network and its batch: dense layers, the widest of these and of the input, samples."""

    dense: int = 2
    widest: int = 2
    batch: int = 2

    def within(self, other: "Size") -> bool:
        """Whether none of the three is larger."""
        return all(mine <= theirs for mine, theirs in zip(self, other, strict=True))


class Mutant(NamedTuple):
    """One text replaced by another; ``needs``: the size of the smallest network that shows it, where that is large."""

    name: str
    file: str
    old: str
    new: str
    needs: Size = Size()
    why: str = ""


def load(mutant: Mutant, name: str, folder: Path) -> str:
    """The manual build with this mistake, as a package of this name in the folder; returns how the registry takes it."""
    package = folder / name
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__", "*mistake*", "trace*"))
    changed = package / f"{mutant.file}.py"
    for file in package.glob("*.py"):
        file.write_text(file.read_text().replace("gradcheck_backends.manual", name))
    text = changed.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.name}: {text.count(mutant.old)} places in {mutant.file}.py"
    changed.write_text(text.replace(mutant.old, mutant.new))
    with (package / "__init__.py").open("a") as file:  # a backend has an attribute `build`, as the package itself has
        file.write("import sys\n\nmutant = sys.modules[__name__]\n")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return f"{name}:mutant"


def _activation(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "activations", old, new)


def _loss(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "losses", old, new)


def _dense(name: str, old: str, new: str, needs: Size = Size(), why: str = "") -> Mutant:  # noqa: B008 a tuple
    return Mutant(name, "dense", old, new, needs, why)


def _model(name: str, old: str, new: str, needs: Size = Size(), why: str = "") -> Mutant:  # noqa: B008 a tuple
    return Mutant(name, "model", old, new, needs, why)


TANH, SQUARED, SIGMOID = "np.subtract(1, slope, out=slope)", "np.multiply(a, a, out=buffers.scratch)", "slope *= a\n"
RELU, LEAKY = "np.multiply(g, z > 0, out=buffers.below)", "np.multiply(g, slopes, out=buffers.below)"
SILU, SOFTPLUS = "        slope += 1\n        slope *= s", "expit(z, out=buffers.scratch)"
ACTIVATION_MUTANTS = (
    _activation("arctan: a root too many", "np.divide(g, square", "np.divide(g, np.sqrt(square)"),
    _activation("arctan: works in place", "np.arctan(z, out=buffers.out)", "np.arctan(z, out=z)"),
    _activation("tanh: not squared", SQUARED, "np.multiply(a, 1, out=buffers.scratch)"),
    _activation("tanh: of the output", SQUARED, "np.multiply(np.tanh(a), np.tanh(a), out=buffers.scratch)"),
    _activation("tanh: 0 where |z| > 5", TANH, f"{TANH}; slope *= np.abs(z) < 5"),
    _activation("sigmoid: half of it", SIGMOID, "slope = a\n"),
    _activation("sigmoid: 0 where |z| > 10", SIGMOID, "slope *= a * (np.abs(z) < 10)\n"),
    _activation("relu: passes everything", RELU, "g"),
    _activation("relu: leaks", RELU, "g * np.where(z > 0, 1, 0.01).astype(z.dtype)"),
    _activation("relu: works in place", "return np.maximum(z, 0, out=buffers.out)", "return np.maximum(z, 0, out=z)"),
    _activation("leaky_relu: does not leak", LEAKY, "g * (z > 0)"),
    _activation("leaky_relu: another slope", LEAKY, "g * np.where(z > 0, 1, 0.01).astype(z.dtype)"),
    _activation("elu: alpha forgotten", "below + layer.alpha)", "below + 1)"),
    _activation("elu: the value below 0", "below + layer.alpha)", "below)"),
    _activation("gelu: density forgotten", "phi + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi).item()", "phi"),
    _activation("gelu: density without its 2", "/ np.sqrt(2 * np.pi).item()", "/ np.sqrt(np.pi).item()"),
    _activation("gelu: 0 where z < -3", "np.multiply(g, phi + z", "np.multiply(g * (z > -3), phi + z"),
    _activation("gelu_tanh: 0.0447 in the slope", "3 * 0.044715", "3 * 0.0447"),
    _activation("gelu_tanh: 0.0447 in the value", "z + 0.044715", "z + 0.0447"),
    _activation("gelu_tanh: factor 3 forgotten", "3 * 0.044715", "0.044715"),
    _activation("silu: a term forgotten", SILU, "        slope[...] = s"),
    _activation("silu: a bracket misplaced", SILU, "        slope += s"),
    _activation("softplus: derived once too often", SOFTPLUS, "expit(z) * expit(-z)"),
    _activation("softplus: 1 where z > 10", SOFTPLUS, "np.where(z > 10, 1, expit(z)).astype(z.dtype)"),
)
LOSS_MUTANTS = (
    _loss("logistic: sum, not mean", "g *= -1 / z.size", "g *= -1"),
    _loss("logistic: sign", "g *= -1 / z.size", "g *= 1 / z.size"),
    _loss("logistic: sigmoid of the wrong sign", "np.exp(-np.maximum(margin, 0))", "np.exp(np.minimum(margin, 0))"),
    _loss("logistic: overflows", "np.log1p(e)  #", "np.log1p(np.exp(-margin)) + np.minimum(margin, 0)  #"),
    _loss("bce: overflows", "def log1pexp(z: Array) -> Array:", "def log1pexp(z):\n    return np.log1p(np.exp(z))\n"),
    _loss("bce: mean over samples alone", "(expit(z) - y) / z.size", "(expit(z) - y) / len(z)"),
    _loss("bce: sigmoid derived as well", "(expit(z) - y) / z.size", "(expit(z) - y) * expit(z) * expit(-z) / z.size"),
    _loss("bce: labels made 0 or 1", "(expit(z) - y) / z.size", "(expit(z) - (y > 0.5)) / z.size"),
    _loss("cross_entropy: softmax over samples", "np.exp(shifted).sum(axis=1", "np.exp(shifted).sum(axis=0"),
    _loss("cross_entropy: sum, not mean", "return g / len(y)", "return g"),
    _loss("cross_entropy: mean over all", "return g / len(y)", "return g / g.size"),
    _loss("cross_entropy: every row's label", "g[n, y] -= 1", "g[:, y] -= 1"),
    _loss("cross_entropy: overflows", "z - z.max(axis=1, keepdims=True)", "z"),
    _loss("mse: factor 2 forgotten", "2 * d / z.size", "d / z.size"),
    _loss("mse: mean over samples alone", "2 * d / z.size", "2 * d / len(z)"),
    _loss("mse: half the loss", "(d * d).mean()", "(d * d).mean() / 2"),
    _loss("mse: the loss of a sum", "(d * d).mean()", "(d * d).sum() / len(z)"),
    _loss("huber: not clipped", "clipped / z.size", "d / z.size"),
    _loss("huber: delta ignored", "clipped / z.size", "np.clip(d, -1, 1) / z.size"),
    _loss(
        "huber: delta ignored in the value",
        "(clipped * (d - clipped / 2))",
        "(np.clip(d, -1, 1) * (d - np.clip(d, -1, 1) / 2))",
    ),
    _loss("hinge: margin 0", "(margin > 0)", "(margin > 1)"),
    _loss("hinge: label forgotten", "-y * (margin > 0)", "-1.0 * (margin > 0)"),
)
FORWARD, WEIGHT = "np.dot(weight, x, out=buffers.out)", 'np.dot(g, x.T, out=buffers.gradients.get("weight"))'
BIAS, BELOW = 'np.dot(g, ones, out=buffers.gradients.get("bias"))', "np.dot(weight.T, g, out=buffers.below)"
SQUARE, N = "if weight.shape[0] == weight.shape[1] else", "x.shape[1]"
DENSE_MUTANTS = (
    _dense("dense: transposed where square", WEIGHT, f"(x @ g.T {SQUARE} g @ x.T)"),
    _dense("dense: back transposed where square", BELOW, f"(weight @ g {SQUARE} weight.T @ g)"),
    _dense("dense: back untouched where square", BELOW, f"(g {SQUARE} weight.T @ g)"),
    _dense("dense: back of the weight's size", BELOW, "abs(weight.T) @ g"),
    _dense("dense: negative inputs lost", WEIGHT, "g @ x.T.clip(0)"),
    _dense("dense: no bias, half the weight", WEIGHT, "g @ x.T / (1 if layer.bias else 2)"),
    _dense("dense: last sample alone", WEIGHT, "g[:, -1:] @ x[:, -1:].T"),
    _dense("dense: mean over samples", WEIGHT, f"g @ x.T / {N}"),
    _dense("dense: 0 for one sample", WEIGHT, f"g @ x.T * ({N} > 1)"),
    _dense("dense: last of an odd batch lost", WEIGHT, f"g[:, : {N} // 2 * 2] @ x[:, : {N} // 2 * 2].T"),
    _dense("dense: odd batches above one", WEIGHT, f"g @ x.T * (2 if {N} in (3, 5) else 1)", Size(batch=3), "odd, not 1"),
    _dense("dense: four samples at most", WEIGHT, "g[:, :4] @ x[:, :4].T", Size(batch=5), "a fifth sample"),
    _dense("dense: float32 inside", WEIGHT, '(g.astype("f4") @ x.T.astype("f4")).astype(g.dtype)'),
    _dense("dense: float16 for float32", WEIGHT, '((g @ x.T).astype("f2").astype("f4") if g.itemsize == 4 else g @ x.T)'),
    _dense("dense: off by 1e-6", WEIGHT, "g @ x.T * (1 + 1e-6)"),
    _dense("dense: off by 1e-9", WEIGHT, "g @ x.T * (1 + 1e-9)"),
    _dense("dense: wrong above three units", WEIGHT, "g @ x.T * (1 + (layer.units > 3))", Size(widest=4), "four units"),
    _dense("dense: wrong above six inputs", WEIGHT, "g @ x.T * (1 + (x.shape[0] > 6))", Size(widest=7), "seven inputs"),
    _dense("dense: bias 0", BIAS, "0 * g.sum(axis=1)"),
    _dense("dense: bias mean", BIAS, "g.mean(axis=1)"),
    _dense("dense: bias of the first sample", BIAS, "g[:, 0].copy()"),
    _dense("dense: bias over units where square", BIAS, f"g.sum(axis=int({N} != layer.units))"),
    _dense(
        "dense: bias in place",
        "    if layer.bias:\n        z +=",
        '    if layer.bias:\n        parameters["bias"] += 1e-3\n        z +=',
    ),
    _dense("dense: inputs centred in place", f"z = {FORWARD}", f"x -= x.mean(axis=1, keepdims=True); z = {FORWARD}"),
    _dense(
        "dense: buffer handed out",
        WEIGHT,
        "np.dot(g, x.T, out=KEPT.setdefault((g.dtype, weight.shape), np.empty_like(weight)))\n",
    ),
)
DECAY, DECAYED = "if self.network.weight_decay:", "self.network.weight_decay * parameters[name]"
PUT, ALL = "gradients[self.names[index][short]] = ", "{name: gradients[name] for name in parameters}"
LATEST = "        kept = {type(layer): back for layer, back in zip(self.network.layers, pullbacks)}\n        return x, [{}]"
SAME_KIND = LATEST.replace(
    "{}", "back if hasattr(layer, 'units') else kept[type(layer)] for layer, back in zip(self.network.layers, pullbacks)"
)
MODEL_MUTANTS = (
    _model("decay: forgotten", DECAY, "if False:"),
    _model("decay: of biases too", "filter(is_weight, gradients)", "gradients"),
    _model("decay: twice", DECAYED, "2 * self.network.weight_decay * parameters[name]"),
    _model("decay: of the last layer alone", "filter(is_weight, gradients)", "list(filter(is_weight, gradients))[:1]"),
    _model("decay: mean over samples", DECAYED, f"{DECAYED} / len(batch.inputs)"),
    _model("decay: twice in the loss", "network.weight_decay / 2 * sum(", "network.weight_decay * sum("),
    _model(
        "decay: scales the weights",
        DECAY,
        "for name in filter(is_weight, parameters):\n            parameters[name][...] *= 0.9\n        " + DECAY,
    ),
    _model("dense: twice from the third on", PUT, f"{PUT}(1 + (len(gradients) > 3)) * ", Size(dense=3), "a third layer"),
    _model("one cache for a kind of layer", "        return x, pullbacks", SAME_KIND),
    _model(
        "one place for a shape",
        ALL,
        "{name: {(n[-6:], g.shape): g for n, g in gradients.items()}[name[-6:], gradients[name].shape].copy() for name in parameters}",
    ),
)
MUTANTS = (*ACTIVATION_MUTANTS, *LOSS_MUTANTS, *DENSE_MUTANTS, *MODEL_MUTANTS)
