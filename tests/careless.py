"""Calls of somebody careless: in each something was forgotten. None may end in a bare `correct`."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gradcheck import check, check_jax, check_torch

CALLS: dict[str, Callable[[], Any]] = {}


def call(f: Callable[[], Any]) -> Callable[[], Any]:
    CALLS[f.__name__.replace("_", " ")] = f
    return f


def point(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


class Layer:
    def __init__(self) -> None:
        self.w, self.b = point(3), 0.5


@dataclasses.dataclass
class Parameters:
    w: Any
    b: Any = 0


X, Y = point(6, 3), point(6)
GLOBAL = {"W": point(3, seed=1)}
SCALE = np.array([2.0])


# What is handed in.


@call
def an_integer_bias_with_a_claim():
    return check(
        lambda p: (p["w"] * 3 + p["b"]) ** 2, lambda p: {"w": 6 * (3 * p["w"] + p["b"]), "b": 1.5}, {"w": 1.5, "b": 0}
    )


@call
def an_integer_bias_without_a_claim():
    return check(lambda p: (p["w"] * 3 + p["b"]) ** 2, lambda p: {"w": 6 * (3 * p["w"] + p["b"])}, {"w": 1.5, "b": 0})


@call
def an_integer_array_beside_a_floating_one():
    f = lambda p: float(p["w"] @ p["v"])  # noqa: E731
    return check(f, lambda p: {"w": p["v"] * 1.0, "v": p["w"]}, {"w": point(3), "v": np.arange(3)})


@call
def an_index_array():
    return check(lambda p: float(np.sum(p["w"][p["i"]] ** 2)), _of_indexed, {"w": point(4), "i": np.array([0, 2])})


def _of_indexed(p: Any) -> Any:
    g = np.zeros(4)
    g[p["i"]] = 2 * p["w"][p["i"]]
    return {"w": g}


@call
def a_mask():
    return check(
        lambda p: float(np.sum(p[0][p[1]] ** 2)), lambda p: [2 * p[0] * p[1]], [point(3), np.array([True, False, True])]
    )


@call
def an_integer_field_of_a_dataclass():
    return check(lambda p: p.w**2 + p.b, lambda p: Parameters(2 * p.w, 1.0), Parameters(1.5))


@call
def an_integer_three_levels_down():
    at = {"a": [{"b": (1.5, 2)}]}
    return check(lambda p: p["a"][0]["b"][0] * p["a"][0]["b"][1], lambda p: {"a": [{"b": (2.0, 1.5)}]}, at)


@call
def a_complex_leaf():
    at = {"w": point(3), "z": point(3) * 1j}
    return check(lambda p: float(np.sum(p["w"] ** 2) + np.abs(p["z"]).sum()), lambda p: {"w": 2 * p["w"]}, at)


@call
def a_list_of_objects():
    return check(
        lambda p: float(sum(np.sum(layer.w**2) for layer in p)), lambda p: [2 * layer.w for layer in p], [Layer(), Layer()]
    )


@call
def an_object_beside_an_array():
    return check(lambda p: float(np.sum(p["x"] * p["l"].w)), lambda p: {"x": p["l"].w}, {"x": point(3), "l": Layer()})


@call
def a_set():
    return check(lambda p: p["w"] ** 2 + sum(p["s"]), lambda p: {"w": 2 * p["w"]}, {"w": 1.5, "s": {1.0, 2.0}})


@call
def a_generator():
    return check(lambda p: float(sum(np.sum(x) for x in p)), lambda p: [np.ones(2)], (point(2) for _ in range(2)))


@call
def a_map_beside_an_array():
    return check(lambda p: float(np.sum(p["x"])), lambda p: {"x": np.ones(2)}, {"x": point(2), "m": map(float, [1, 2])})


@call
def an_array_of_objects():
    return check(
        lambda p: float(p["x"] * p["o"][0]), lambda p: {"x": p["o"][0]}, {"x": 1.5, "o": np.array([2.0, None], dtype=object)}
    )


@call
def a_fraction():
    from fractions import Fraction

    return check(lambda p: float(p["x"] * p["f"]), lambda p: {"x": 0.5}, {"x": 1.5, "f": Fraction(1, 2)})


@call
def a_list_that_holds_itself():
    at: list[Any] = [1.5]
    at.append(at)
    return check(lambda p: p[0] ** 2, lambda p: [2 * p[0]], at)


@call
def a_claim_for_what_does_not_exist():
    return check(lambda p: p["w"] ** 2, lambda p: {"w": 2 * p["w"], "v": np.ones(2)}, {"w": 1.5})


@call
def a_namespace():
    from types import SimpleNamespace

    at = SimpleNamespace(w=point(3))
    return check(lambda p: float(np.sum(p.w**2)), lambda p: SimpleNamespace(w=2 * p.w), at)


@call
def a_tensor_for_check():
    import torch

    at = {"w": point(3), "t": torch.ones(3)}
    return check(lambda p: float(np.sum(p["w"] * p["t"].numpy())), lambda p: {"w": p["t"].numpy()}, at)


@call
def a_jax_array_for_check():
    import jax.numpy as jnp

    at = {"w": point(3), "j": jnp.ones(3)}
    return check(lambda p: float(np.sum(p["w"] * np.asarray(p["j"]))), lambda p: {"w": np.asarray(p["j"])}, at)


# What functions bring along.


@call
def a_loss_that_reads_a_captured_array_rightly():
    p = {"W": np.ones(3)}
    return check(lambda _: np.sum(p["W"] ** 2), lambda _: 2 * p["W"], p["W"])


@call
def a_loss_that_reads_a_captured_array_wrongly():
    p = {"W": np.ones(3)}
    return check(lambda _: np.sum(p["W"] ** 2), lambda _: 3 * p["W"], p["W"])


@call
def a_loss_that_reads_a_global_array():
    return check(lambda w: np.sum(GLOBAL["W"] ** 2), lambda w: 2 * GLOBAL["W"], GLOBAL["W"])


@call
def a_loss_that_reads_a_copy_of_the_array():
    return check(lambda w: np.sum(GLOBAL["W"] ** 2), lambda w: 2 * GLOBAL["W"], GLOBAL["W"].copy())


@call
def a_loss_of_nothing_with_no_gradient():
    return check(lambda w: np.sum(GLOBAL["W"] ** 2), lambda w: 0 * w, GLOBAL["W"].copy())


@call
def one_of_two_blocks_is_read_from_a_closure():
    own = {"w": point(3), "b": point(3, seed=1)}
    f = lambda p: np.sum(np.sin(p["w"]) * own["b"])  # noqa: E731
    return check(f, lambda p: {"w": np.cos(p["w"]) * own["b"], "b": np.sin(p["w"])}, own)


@call
def a_loss_of_a_view_of_what_it_reads():
    whole = point(6)
    return check(lambda _: np.sum(whole**2), lambda _: 2 * whole[:3], whole[:3])


@call
def a_bias_left_in_the_closure():
    b = point(6)
    return check(lambda w: np.sum((X @ w + b) ** 2), lambda w: 2 * X.T @ (X @ w + b), point(3))


@call
def a_scale_left_global():
    return check(lambda x: float(SCALE[0] * np.sum(x**2)), lambda x: 2 * SCALE[0] * x, point(3))


@call
def a_network_as_an_object():
    net = Layer()
    return check(lambda x: float(np.sum(np.tanh(x * net.w))), lambda x: net.w * (1 - np.tanh(x * net.w) ** 2), point(3))


@call
def data_bound_by_partial():
    f = functools.partial(lambda x, w: float(np.sum(x * w)), w=point(3, seed=2))
    return check(f, lambda x: point(3, seed=2), point(3))


# What functions do.


@call
def a_loss_that_updates_in_place():
    def loss(x):
        x *= 2
        return float(np.sum(x**2))

    return check(loss, lambda x: 8 * x, point(3))


@call
def a_gradient_that_updates_in_place():
    def gradient(x):
        x *= 2
        return x

    return check(lambda x: float(np.sum(x**2)), gradient, point(3))


@call
def a_loss_that_asserts():
    def loss(x):
        assert np.all(np.abs(x) < 1.01)
        return float(np.sum(x**3))

    return check(loss, lambda x: 3 * x**2, np.linspace(-1, 1, 5))


@call
def a_loss_that_raises_wherever_it_is_moved():
    at = point(3)

    def loss(x):
        if not np.array_equal(x, at):
            raise RuntimeError("not converged")
        return float(np.sum(x**3))

    return check(loss, lambda x: 3 * x**2, at)


@call
def a_loss_that_is_random():
    rng = np.random.default_rng(0)
    return check(lambda x: float(np.sum(x**2) + rng.standard_normal()), lambda x: 2 * x, point(3))


@call
def a_float32_point_with_another_gradient_there():
    return check(lambda x: np.sum(x**2), lambda x: 2 * x * (1.5 if x.dtype == np.float32 else 1), point(3).astype("f4"))


@call
def a_float32_point():
    return check(lambda x: np.sum(x**2), lambda x: 2 * x, point(3).astype("f4"))


@call
def a_point_cast_to_float32_inside():
    return check(lambda x: float(np.sum(np.sin(x.astype("f4")))), np.cos, point(5))


# PyTorch.


def tensor(*shape: int, grad: bool = True, dtype: str = "float64", seed: int = 0) -> Any:
    import torch

    return torch.tensor(point(*shape, seed=seed), dtype=getattr(torch, dtype), requires_grad=grad)


def network() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()


@call
def parameters_handed_in_with_a_hook_on_one():
    net, x = network(), tensor(5, 3, grad=False)
    net[0].weight.register_hook(lambda g: g / 2)
    return check_torch(lambda *p: (net(x) ** 2).sum(), *net.parameters())


@call
def a_captured_network_with_a_hook():
    net = network()
    net[2].weight.register_hook(lambda g: g * 1.01)
    return check_torch(lambda x: net(x).sum(), tensor(5, 3))


@call
def a_hook_after_accumulation():
    w = tensor(3)
    w.register_post_accumulate_grad_hook(lambda t: t.grad.mul_(0.5))
    return check_torch(lambda x: (x**3).sum(), w)


@call
def a_detached_branch():
    net = network()
    return check_torch(lambda x: (x.sum(1, keepdim=True) * net(x).detach()).sum(), tensor(5, 3))


@call
def a_detached_captured_weight():
    net, w = network(), tensor(3, seed=3)
    return check_torch(lambda x: (net(x) + (x @ w.detach())[:, None]).sum(), tensor(5, 3))


@call
def a_branch_without_gradient():
    import torch

    def f(x):
        with torch.no_grad():
            scale = x.norm()
        return (x / scale).sin().sum()

    return check_torch(f, tensor(4))


@call
def the_generator_of_parameters():
    net = network()
    return check_torch(lambda p: sum((q**2).sum() for q in p), net.parameters())


@call
def a_module_that_is_not_the_one_called():
    net, other = network(), network()
    return check_torch(lambda x: net(x).sum(), tensor(5, 3, grad=False), module=other)


@call
def a_dataclass_whose_tensor_is_detached():
    return check_torch(lambda p: (p.w.detach() ** 2).sum() + p.b.sum(), Parameters(tensor(3), tensor(2)))


@call
def an_object_whose_tensor_is_detached():
    layer = Layer()
    layer.w, layer.b = tensor(3), tensor(3, seed=1)
    return check_torch(lambda p: (p.w.detach() * p.b).sum(), layer)


@call
def a_list_of_dicts_one_detached():
    return check_torch(
        lambda ps: sum((p["w"].detach() ** 2).sum() + p["b"] for p in ps), [{"w": tensor(2), "b": tensor()}] * 1
    )


@call
def one_tensor_twice():
    w = tensor(3)
    return check_torch(lambda a, b: (a * b).sum(), w, w)


@call
def nothing_requires_a_gradient():
    return check_torch(lambda x: x.sum(), tensor(3, grad=False))


@call
def a_complex_parameter():
    import torch

    return check_torch(
        lambda x, z: (x * z.detach().abs()).sum(), tensor(3), torch.ones(3, dtype=torch.complex128, requires_grad=True)
    )


@call
def an_update_without_gradient():
    import torch

    def f(x):
        with torch.no_grad():
            x.mul_(2)
        return x.sin().sum()

    return check_torch(f, tensor(3))


@call
def a_float32_tensor_with_another_backward_there():
    import torch

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, c):
            return 2 * c * (1.5 if c.dtype == torch.float32 else 1)

    return check_torch(Twice.apply, tensor(3, dtype="float32"))


@call
def a_tensor_computed_before():
    y = tensor(3, seed=4) * 2
    return check_torch(lambda x: (x * y).sum(), tensor(3))


@call
def a_dropout_left_on():
    import torch

    return check_torch(torch.nn.Dropout(0.5), tensor(10))


# JAX.


@call
def a_jax_object_that_is_no_pytree():
    import jax.numpy as jnp

    layer = Layer()
    layer.w = jnp.ones(3)
    return check_jax(lambda p, x: jnp.sum(p.w * x), layer, jnp.ones(3))


@call
def a_jax_function_of_its_closure():
    import jax.numpy as jnp

    w = jnp.ones(3)
    return check_jax(lambda _: jnp.sum(w**2), w)


@call
def a_jax_integer_argument():
    import jax.numpy as jnp

    return check_jax(lambda x, n: jnp.sum(x**n), jnp.arange(1.0, 4.0), 2)


@call
def a_jax_stopped_gradient():
    import jax
    import jax.numpy as jnp

    return check_jax(lambda x: jnp.sum(x * jax.lax.stop_gradient(x)), jnp.arange(1.0, 4.0))


@call
def a_jax_weight_left_in_the_closure():
    import jax.numpy as jnp

    w = jnp.arange(3.0)
    return check_jax(lambda x: jnp.sum(jnp.sin(x * w)), jnp.ones(3))


@call
def a_jax_float32_with_another_backward_there():
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def twice(x):
        return 2 * x

    twice.defvjp(lambda x: (2 * x, x), lambda x, c: (2 * c * (1.5 if x.dtype == jnp.float32 else 1),))
    return check_jax(twice, jnp.ones(3))
