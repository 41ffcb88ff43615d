"""What belongs to the user or to the process is afterwards what it was: after success, errors, ^C, and with threads."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcheck
from gradcheck.adapters.pytorch import generators
from gradcheck.foundation.state import interrupts, turns
from gradcheck.foundation.state.silence import Silence

torch = pytest.importorskip("torch")
pytest.importorskip("sympy")  # PyTorch imports it where it first needs it, and it adds filters of warnings
X = torch.linspace(-1, 1, 20).reshape(5, 4)


def net():
    """Layers with buffers and random numbers, a gradient and a hook."""
    torch.manual_seed(1)
    layers = torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh(), torch.nn.Dropout(0.3), torch.nn.Linear(6, 2)
    module = torch.nn.Sequential(*layers)
    module[0].weight.grad = torch.ones(6, 4)
    module[2].register_forward_hook(lambda *_: None)
    return module


def of(module):
    """All that belongs to a module, bit for bit."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        "values": [(each.data_ptr(), each.stride(), each.detach().numpy().tobytes()) for each in tensors.values()],
        "gradients": [(id(each.grad), None if each.grad is None else each.grad.tolist()) for each in module.parameters()],
        "names": list(tensors),
        "flags": [(each.requires_grad, each.is_leaf, each.dtype) for each in tensors.values()],
        "modules": [
            (part.training, list(vars(part)), list(part._parameters), list(part._forward_hooks)) for part in module.modules()
        ],
        "hooks": [list(each._backward_hooks or ()) for each in tensors.values()],
    }


def of_process():
    """All that belongs to everybody."""
    numbers = np.random.get_state()
    return {
        "random": (torch.get_rng_state().tolist(), numbers[1].tolist(), numbers[2:], random.getstate()),
        "errors": np.geterr(),
        "filters": (id(warnings.filters), list(warnings.filters)),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "place": (os.getcwd(), dict(os.environ)),
        "handlers": [signal.getsignal(number) for number in interrupts.SIGNALS],
    }


def plain(report):
    return report.to_json()


def at_once(*jobs):
    """Results of jobs, each in a thread of its own; threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(len(jobs)) as pool:
            return [each.result(60) for each in [pool.submit(job) for job in jobs]]
    finally:
        sys.setswitchinterval(before)


# -- threads


def test_one_module_in_four_threads_is_as_in_one():
    module = net()
    expected, before, everybody = plain(gradcheck.check_torch(module, X)), of(module), of_process()
    found = at_once(*4 * [lambda: [plain(gradcheck.check_torch(module, X)) for _ in range(3)]])
    assert found == 4 * [3 * [expected]]
    assert of(module) == before
    assert of_process() == everybody


SPOILED = 7


def spoil():
    """Threads without turns, until one has another report or the weights have changed: memory may hold anything then."""
    module = net()
    expected, before = plain(gradcheck.check_torch(module, X)), of(module)["values"]

    def answers():
        with suppress(Exception):
            return plain(gradcheck.check_torch(module, X))

    turns.Turn.overlaps = lambda self, other: False
    for _ in range(20):
        if at_once(*4 * [answers]) != 4 * [expected] or of(module)["values"] != before:
            os._exit(SPOILED)


def test_without_turns_threads_spoil_each_other():
    """In a process of its own, which this may well end."""
    code = subprocess.run([sys.executable, __file__], timeout=120, check=False, capture_output=True).returncode
    assert code == SPOILED or code < 0


def test_different_modules_are_checked_at_the_same_time():
    here, there = threading.Event(), threading.Event()

    def meeting(mine, other, module):
        calls = []

        def f(x):
            calls.append(1)
            if len(calls) > 9:  # the first of them are looked at one by one: whether they draw
                mine.set()
                assert other.wait(20)
            return module(x)

        return f

    jobs = [meeting(here, there, torch.nn.Linear(4, 2)), meeting(there, here, torch.nn.Linear(4, 2))]
    assert all(at_once(*(lambda f=f: gradcheck.check_torch(f, X) for f in jobs)))
    assert here.is_set()
    assert there.is_set()


def test_one_module_is_checked_by_one_thread_at_a_time():
    module, inside, most = torch.nn.Linear(4, 2), [], []

    def f(x):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0)
        found = module(x)
        inside.pop()
        return found

    assert all(at_once(*2 * [lambda: gradcheck.check_torch(f, X)]))
    assert max(most) == 1


def hidden():
    """A tensor that only the graph finds: it lies among the globals of another module."""
    home = types.ModuleType("home")
    exec("def use(x): return (x * weight).sin()", home.__dict__)
    home.weight = torch.arange(1.0, 5.0).requires_grad_()
    return home


def sharing(how):
    """Two functions of one tensor, and what holds it."""
    if how == "a submodule":
        shared = torch.nn.Linear(4, 4)
        return [torch.nn.Sequential(shared, torch.nn.Dropout(0.5)), torch.nn.Sequential(shared, torch.nn.Tanh())], shared
    holder = torch.nn.Module()
    if how == "a closure":
        weight = holder.weight = torch.nn.Parameter(torch.arange(1.0, 5.0))
        return [lambda x: (weight * x).sin(), lambda x: (weight + x).cos()], holder
    home = hidden()
    holder.weight = home.weight = torch.nn.Parameter(torch.arange(1.0, 5.0))
    return [lambda x: home.use(x), lambda x: home.use(2 * x)], holder


@pytest.mark.parametrize("how", ["a submodule", "a closure", "globals of another module"])
def test_who_shares_a_tensor_takes_turns(how):
    functions, holder = sharing(how)
    expected, before = [plain(gradcheck.check_torch(f, X)) for f in functions], of(holder)
    for _ in range(3):
        assert at_once(*(lambda f=f: plain(gradcheck.check_torch(f, X)) for f in functions)) == expected
    assert of(holder) == before


class Course:
    """A network as courses write it: its loss reads its own arrays."""

    def __init__(self):
        self.W, self.b, self.x = np.linspace(-1, 1, 6).reshape(2, 3), np.array([0.1, 0.2]), np.array([0.3, 0.4, 0.5])

    def loss(self):
        return float(np.sum(np.tanh(self.W @ self.x + self.b)))

    def slope(self):
        return 1 - np.tanh(self.W @ self.x + self.b) ** 2


def of_course(net):
    return [
        lambda: gradcheck.check(lambda w: net.loss(), lambda w: np.outer(net.slope(), net.x), net.W),
        lambda: gradcheck.check(lambda b: net.loss(), lambda b: net.slope(), net.b),
        lambda: gradcheck.check(lambda v: net.loss(), lambda v: net.slope(), net.b[:]),
    ]


def test_arrays_that_are_moved_in_place_are_moved_in_turn(monkeypatch):
    net = Course()
    expected, before = [plain(job()) for job in of_course(net)], (net.W.copy(), net.b.copy())
    for _ in range(5):
        assert at_once(*(lambda job=job: plain(job()) for job in of_course(net))) == expected
    assert np.array_equal(net.W, before[0])
    assert np.array_equal(net.b, before[1])


def test_a_check_within_a_check_has_its_turn():
    inner = torch.nn.Linear(4, 1)

    def f(x):
        assert gradcheck.check_torch(inner, X)
        return inner(x).sin()

    assert gradcheck.check_torch(f, X, contract=False, max_evaluations=20)


def test_two_that_wait_for_each_other_are_told():
    table, one, other = turns.Turns(), object(), object()
    both = threading.Barrier(2)

    def job(first, second):
        with table.of([first]):
            both.wait(10)
            try:
                with table.of([second]):
                    return ""
            except gradcheck.DataError as error:
                return str(error)

    told = at_once(lambda: job(one, other), lambda: job(other, one))
    assert sorted(map(bool, told)) == [False, True]
    assert "wait for each other" in max(told)


def test_filters_of_warnings_survive_threads_that_leave_out_of_order():
    before = list(warnings.filters)
    first, second = Silence(), Silence()
    first.__enter__()
    at_once(second.__enter__)
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before
    # The twin: what the standard library does then.
    with warnings.catch_warnings():
        one, two = warnings.catch_warnings(), warnings.catch_warnings()
        one.__enter__()
        warnings.simplefilter("error")
        two.__enter__()
        one.__exit__(None, None, None)
        two.__exit__(None, None, None)
        assert list(warnings.filters) != before


def test_silence_is_for_one_thread_and_one_message():
    def heard(message):
        try:
            warnings.warn(message, UserWarning, stacklevel=1)
        except UserWarning:
            return True
        return False

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Silence("nothing"):
            assert [heard("nothing new"), heard("something"), *at_once(lambda: heard("nothing new"))] == [False, True, True]


# -- random numbers


def test_who_draws_late_leaves_the_generators_as_they_were():
    calls = []

    def f(x):
        calls.append(1)
        noise = torch.rand(()) + random.random() + np.random.rand() if len(calls) > 6 else 0.0
        return (x + noise).sin()

    before = of_process()["random"]
    gradcheck.check_torch(f, X.clone().requires_grad_())
    assert len(calls) > 6
    assert of_process()["random"] == before


def test_who_draws_on_the_way_back_is_seen():
    class Noisy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, c):
            return 2 * c + 1e-3 * torch.rand_like(c)

    report = gradcheck.check_torch(Noisy.apply, X.double().requires_grad_(), contract=False)
    assert "random numbers are drawn from seed 0 at every call" in report.notes
    silent = gradcheck.check_torch(torch.sin, X.double().requires_grad_(), contract=False)
    assert not any("random" in note for note in silent.notes)


@pytest.mark.parametrize("name", ["TORCH", "NUMPY", "PYTHON"])
def test_each_generator_is_set_and_compared(name):
    each = getattr(generators, name)
    before = each.state()
    each.seed(5)
    seeded = each.state()
    assert seeded != before
    each.put(before)
    assert each.state() == before


# -- exceptions


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, MemoryError])
@pytest.mark.parametrize("when", [1, 2, 3, 5, 9, 20, 60])
def test_after_an_exception_all_is_as_it_was(when, error):
    module, calls = net(), []

    def f(x):
        calls.append(1)
        module.eval()
        module.extra = 1
        module[0].weight.requires_grad_(len(calls) % 2 == 0)
        module[0].bias.register_hook(lambda c: c)
        module[4].register_forward_hook(lambda *_: None)
        if len(calls) == when:
            raise error("planted")
        module[0].weight.requires_grad_(True)
        module(x).sum().backward()
        return module(x)

    before, everybody = of(module), of_process()
    with suppress(gradcheck.GradcheckError, error):
        gradcheck.check_torch(f, X, module=module)
    assert calls
    assert of(module) == before
    assert of_process() == everybody


def test_what_a_function_does_to_the_process_is_undone(tmp_path):
    def loss(x):
        np.seterr(all="raise")
        os.chdir(tmp_path)
        os.environ["PLANTED"] = "1"
        os.environ.pop("PATH", None)
        warnings.simplefilter("error")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return float(np.sum(np.sin(x)))

    before = of_process()
    assert gradcheck.check(loss, np.cos, np.ones(3))
    assert of_process() == before


# -- ^C


def interrupted_at(moments, job):
    """Ask a job, and press ^C at each of these moments in turn: how each ended.

    They are counted in calls of Python's functions, on entering which Python looks for signals.
    """
    for moment in moments:
        count = 0

        def tracer(frame, event, argument):
            nonlocal count
            count += 1
            if count == moment:  # noqa: B023
                signal.raise_signal(signal.SIGINT)

        before, ended = sys.gettrace(), "finished"
        sys.settrace(tracer)
        try:
            job()
        except KeyboardInterrupt:
            ended = "stopped"
        finally:
            sys.settrace(before)
        yield ended if count >= moment else "too late"


def jobs():
    module, course = net(), Course()
    layers = (gradcheck.Dense(units=3), gradcheck.Tanh(), gradcheck.Dense(units=1))
    case = gradcheck.Case(gradcheck.Network(inputs=(2,), layers=layers, loss=gradcheck.Logistic()), data="two-moons")
    held = of(module), course.W.copy()

    def is_as_before():
        return of(module) == held[0] and np.array_equal(course.W, held[1])

    return {
        "check": lambda: gradcheck.check(lambda x: float(np.sum(np.sin(x))), lambda x: 1.1 * np.cos(x), np.ones(3)),
        "in place": of_course(course)[0],
        "verify": lambda: gradcheck.verify(case, ["manual"]),
        "check_torch": lambda: gradcheck.check_torch(module, X, contract=False, max_evaluations=20),
        "contract": lambda: gradcheck.check_torch(torch.sin, X.double().requires_grad_(), max_evaluations=20),
    }, is_as_before


# Python itself ignores what is raised while a generator is thrown away; our guard does not.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["check", "in place", "verify", "check_torch", "contract"])
def test_an_interrupt_at_any_moment_leaves_all_as_it_was(name):
    every, is_as_before = jobs()
    job = every[name]
    job()
    before = of_process()
    calls = calls_of(job)
    draws = np.random.default_rng(0)
    for ended in interrupted_at(sorted({*range(1, 60, 2), *draws.integers(1, calls, 25).tolist()}), job):
        assert ended in ("stopped", "too late")
        assert is_as_before()
        assert of_process() == before


def calls_of(job):
    count = 0

    def tracer(frame, event, argument):
        nonlocal count
        count += 1

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        job()
    finally:
        sys.settrace(before)
    return count


def test_an_interrupt_while_something_is_put_back_would_leave_it_changed(monkeypatch):
    array = np.zeros(3)

    class Moved(interrupts.Kept):
        def take(self):
            array[:] = 1

        def put_back(self):
            array[:] = [self.zero() for _ in range(3)]

        def zero(self):
            return 0

    def job():
        with interrupts.Guard(), Moved():
            array[:] = 2

    moments = range(1, calls_of(job))
    for _ in interrupted_at(moments, job):
        assert not array.any()
    monkeypatch.setattr(interrupts, "_may_not", lambda frame, patient: False)
    spoiled = False
    for _ in interrupted_at(moments, job):
        spoiled |= array.any()
        array[:] = 0
    assert spoiled


@pytest.mark.parametrize("waits", [False, True])
def test_an_interrupt_stops_a_function_that_hangs_and_who_waits_for_its_turn(waits):
    module, taken, over = torch.nn.Linear(4, 1), threading.Event(), threading.Event()

    def hang(x):
        taken.set()
        over.wait(30)
        return module(x)

    def press():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=gradcheck.check_torch, args=(hang, X), kwargs={"contract": False})
    if waits:
        other.start()
        assert taken.wait(20)
    threading.Thread(target=press).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        gradcheck.check_torch(hang, X)
    assert time.monotonic() - began < 10
    over.set()
    if waits:
        other.join(60)


def test_the_handler_that_was_found_is_asked_and_is_there_again():
    pressed = []

    def handler(number, frame):
        pressed.append(number)

    def loss(x):
        if not pressed:
            signal.raise_signal(signal.SIGINT)
        return float(np.sum(np.sin(x)))

    before = signal.signal(signal.SIGINT, handler)
    try:
        assert gradcheck.check(loss, np.cos, np.ones(3))
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT]


def test_an_interrupt_that_is_swallowed_comes_out_at_the_end():
    class Closing:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    once = [Closing()]

    def loss(x):
        once.clear()
        return float(np.sum(np.sin(x)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            with pytest.raises(KeyboardInterrupt):
                gradcheck.check(loss, np.cos, np.ones(3))
        finally:
            sys.unraisablehook = hook


# -- modes


def default(dtype):
    @contextmanager
    def changed():
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        yield
        torch.set_default_dtype(before)

    return changed


@contextmanager
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


MODES = {
    "none": nullcontext,
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True, check_nan=True),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "meta": lambda: torch.device("meta"),
    "dual": torch.autograd.forward_ad.dual_level,
    "hooks of saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda saved: saved),
    "float64": default(torch.float64),
    "bfloat16": default(torch.bfloat16),
    "errors of NumPy": lambda: np.errstate(all="raise"),
    "warnings are errors": warnings_are_errors,
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("mode", MODES)
def test_what_is_in_force_around_a_check_accuses_nobody_and_stays(mode):
    module, leaf = net(), torch.linspace(0.1, 0.9, 3, dtype=torch.float64).requires_grad_()
    before = of(module)
    with MODES[mode]():
        everybody = of_process()
        found = [gradcheck.check_torch(torch.sin, leaf), gradcheck.check_torch(module, X)]
        found.append(gradcheck.check(lambda x: float(np.sum(x**3)), lambda x: 3 * x**2, np.linspace(0, 1, 3)))
        wrong = gradcheck.check_torch(lambda x: x.detach() * x, leaf, contract=False)
        assert of_process() == everybody
    assert all(found), found
    assert not wrong
    assert of(module) == before


def test_tensors_made_in_inference_mode_are_handed_on_as_copies_or_named():
    with torch.inference_mode():
        assert gradcheck.check_torch(torch.sin, torch.ones(3).requires_grad_())
        assert gradcheck.check_torch(lambda x, y: x * y, torch.ones(3).requires_grad_(), torch.ones(3))
        with pytest.raises(gradcheck.DataError, match=r"Linear: weight was made under torch.inference_mode\(\)"):
            gradcheck.check_torch(torch.nn.Linear(4, 1), X)


def test_a_tensor_without_numbers_and_a_transformation_are_refused_in_a_line():
    with pytest.raises(gradcheck.DataError, match=r"args.0 is on the meta device"):
        gradcheck.check_torch(torch.sin, torch.ones(3, device="meta").requires_grad_())

    def inside(x):
        with pytest.raises(gradcheck.DataError, match=r"within torch.func"):
            gradcheck.check_torch(torch.sin, x)
        return x.sum()

    torch.func.grad(inside)(torch.ones(3))
    torch.vmap(inside)(torch.ones(2, 3))
    assert gradcheck.check_torch(torch.vmap(torch.sin), torch.ones(2, 3).requires_grad_())


def test_a_report_that_is_shown_draws_no_number():
    """The twin: the library that shows it draws one when it is imported."""
    code = "import random; before = random.getstate(); {}; print(random.getstate() == before)"
    shown = "import gradcheck; str(gradcheck.check(lambda x: float(x @ x), lambda x: 2 * x, __import__('numpy').ones(3)))"
    for what, same in ((shown, "True"), ("import rich.console", "False")):
        done = subprocess.run([sys.executable, "-c", code.format(what)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == same


class Counting(torch.nn.Module):
    """With a tensor that is neither a parameter nor a buffer, a number, and what it has seen last."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.calls, self.number = torch.zeros(3), 0

    def forward(self, x):
        self.calls += 1
        self.number += 1
        self.last = x
        return (x * self.weight).sum()


def test_what_a_module_counts_in_a_tensor_of_its_own_is_put_back():
    """The twin: a call counts."""
    module = Counting()
    kept = module.calls
    assert gradcheck.check_torch(torch.nn.Sequential(module), X)
    assert module.calls is kept
    assert (module.calls.tolist(), module.number, hasattr(module, "last")) == ([0, 0, 0], 0, False)
    module(X)
    assert (module.calls.tolist(), module.number, hasattr(module, "last")) == ([1, 1, 1], 1, True)


def test_a_module_that_has_no_shape_yet_is_refused_in_a_line_and_checked_once_it_has_one():
    module = torch.nn.LazyLinear(2)
    with pytest.raises(gradcheck.DataError, match=r"^LazyLinear: weight has no shape yet: call the module once before$"):
        gradcheck.check_torch(module, X)
    module(X)
    assert gradcheck.check_torch(module, X)


def sine():
    """JAX's, by hand."""
    f = jax.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))
    return f


@pytest.mark.parametrize("around", ["disable_jit", "debug_nans", "enable_x64", "checking_leaks"])
def test_what_is_set_in_jax_around_a_check_accuses_nobody(around):
    with getattr(jax, around)(True) if around != "checking_leaks" else jax.checking_leaks():
        assert gradcheck.check_jax(sine(), jnp.ones(3))


def test_no_transfers_within_jax_accuse_nobody():
    x = jnp.ones(3)
    with jax.transfer_guard("disallow"):
        assert gradcheck.check_jax(sine(), x)


@pytest.mark.parametrize("transformation", [jax.jit, jax.vmap, jax.grad], ids=["jit", "vmap", "grad"])
def test_within_a_transformation_of_jax_what_is_traced_is_refused_in_a_line(transformation):
    """The twin: the same numbers outside."""
    x = X.numpy()[0]
    with pytest.raises(gradcheck.DataError, match=r"^called within jax\.jit, jax\.vmap or jax\.grad, "):
        transformation(lambda x: (gradcheck.check_jax(sine(), x), x.sum())[1])(x)
    assert gradcheck.check_jax(sine(), x)


if __name__ == "__main__":
    spoil()
