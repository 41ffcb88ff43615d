"""From a name to a backend: what is found, three ways of not finding it, and nothing left behind."""

import importlib
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from gradcheck import Batch, Dense, Logistic, Network
from gradcheck.builds import registry
from gradcheck.builds.protocol import FunctionBackend
from gradcheck.builds.registry import BUILT_IN, Entry
from gradcheck.errors import BackendBroken, BackendError, BackendNotInstalled, UnknownBackend

NETWORK = Network((2,), (Dense(1),), Logistic())
FUNCTION = "def mine(network, parameters, batch):\n    return 0.5, dict(parameters)\n"


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def distribution(folder, name, *entry_points):
    """An installed distribution, as far as its metadata goes."""
    info = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[gradcheck.backends]\n" + "\n".join(entry_points) + "\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that is imported from, as site-packages is."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def loss(backend):
    return backend.build(NETWORK).loss({"0.weight": np.ones((1, 2))}, Batch(np.ones((1, 2)), np.ones((1, 1))))


def test_each_registered_name_gives_a_backend_that_builds():
    pytest.importorskip("torch")
    pytest.importorskip("autograd")
    pytest.importorskip("jax")
    assert list(BUILT_IN) == ["manual", "autograd", "torch", "jax"]
    for name in BUILT_IN:
        assert registry.backend(name).build(NETWORK)


def test_an_unknown_name_is_answered_with_the_nearest_or_all_that_are_known():
    with pytest.raises(UnknownBackend, match=r"^unknown backend 'tosch', did you mean 'torch'\?"):
        registry.backend("tosch")
    known = r"^unknown backend 'xyz', known: manual, autograd, torch, jax \(or module:attr"
    with pytest.raises(UnknownBackend, match=known):
        registry.backend("xyz")


@pytest.mark.parametrize("name", ["", ":", ":build", "mine.py"])
def test_half_a_name_is_unknown(name):
    with pytest.raises(UnknownBackend, match=f"^unknown backend {name!r}"):
        registry.backend(name)


def test_what_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(BUILT_IN, "torch", Entry("gradcheck_backends.pytorch", "no-such-distribution", "torch"))
    with pytest.raises(BackendNotInstalled) as caught:
        registry.backend("torch")
    expected = "backend 'torch' needs no-such-distribution, which is not installed: pip install 'gradcheck[torch]'"
    assert str(caught.value) == expected


def test_what_breaks_on_import_says_how(site, monkeypatch):
    write(site, "gc_broken.py", "raise RuntimeError('no\\n  driver')")
    monkeypatch.setitem(BUILT_IN, "torch", Entry("gc_broken", "numpy"))
    with pytest.raises(BackendBroken) as caught:
        registry.backend("torch")
    assert str(caught.value) == "backend 'torch' raises when imported: RuntimeError: no driver"
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_unknown_not_installed_and_broken_are_three_things_and_each_is_a_backend_error():
    kinds = (UnknownBackend, BackendNotInstalled, BackendBroken)
    assert all(issubclass(kind, BackendError) for kind in kinds)
    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def mine(:", "SyntaxError: invalid syntax (own.py, line 1)"),
        ("import gc_no_such_library", "ModuleNotFoundError: No module named 'gc_no_such_library'"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_breaks_on_import_is_broken_however_it_breaks(tmp_path, text, sentence):
    path = write(tmp_path, "own.py", text)
    with pytest.raises(BackendBroken) as caught:
        registry.backend(f"{path}:mine")
    assert str(caught.value) == f"backend '{path}:mine' raises when imported: {sentence}"
    assert "gradcheck_user_own" not in sys.modules


@pytest.mark.parametrize("text", ["import gc_no_such_library", "import sys; sys.exit(0)"])
def test_a_module_that_breaks_on_import_is_broken_and_not_unknown(site, text):
    write(site, "gc_module.py", text)
    with pytest.raises(BackendBroken, match=r"^backend 'gc_module:mine' raises when imported: "):
        registry.backend("gc_module:mine")


def test_a_module_that_does_not_exist_is_unknown():
    with pytest.raises(UnknownBackend, match=r"^backend 'gc_nowhere\.x:mine': no module called 'gc_nowhere'$"):
        registry.backend("gc_nowhere.x:mine")


def test_a_file_or_attribute_that_does_not_exist_is_unknown(tmp_path):
    path = write(tmp_path, "own.py", FUNCTION)
    with pytest.raises(UnknownBackend, match=r"no\.py: no such file$"):
        registry.backend(f"{tmp_path / 'no.py'}:mine")
    with pytest.raises(UnknownBackend, match=r"no attribute 'mien', did you mean 'mine'\?$"):
        registry.backend(f"{path}:mien")
    with pytest.raises(UnknownBackend, match="no attribute ''"):
        registry.backend(f"{path}:")


def test_what_can_neither_build_nor_be_called_is_refused(tmp_path):
    path = write(tmp_path, "own.py", "mine = 3")
    with pytest.raises(BackendError, match=r"own\.py:mine': expected build\(network\) or a function, got int$"):
        registry.backend(f"{path}:mine")


def test_a_function_of_a_file_is_a_backend_under_its_own_name(tmp_path):
    path = write(tmp_path, "own.py", FUNCTION)
    found = registry.resolve(["manual", f"{path}:mine"])
    assert list(found) == ["manual", "mine"]
    assert loss(found["mine"]) == 0.5


def test_a_backend_may_be_an_object_a_module_or_a_function(site):
    write(site, "gc_whole.py", "class Model:\n    def loss(self, *_): return 2.5\ndef build(network): return Model()\n")
    write(site, "gc_holder.py", "import gc_whole as whole\n" + FUNCTION)
    assert loss(registry.backend("gc_holder:whole")) == 2.5
    assert loss(registry.backend("gc_holder:mine")) == 0.5
    import gc_holder  # pyright: ignore

    found = registry.resolve([gc_holder.whole, gc_holder.mine])
    assert list(found) == ["gc_whole", "mine"]
    assert isinstance(found["mine"], FunctionBackend)


def test_two_backends_of_one_name_are_refused(tmp_path):
    paths = [write(tmp_path, name, FUNCTION) for name in ("a.py", "b.py")]
    for names in (["manual", "manual"], [f"{path}:mine" for path in paths]):
        with pytest.raises(BackendError, match=r"^two backends are called '(manual|mine)'$"):
            registry.resolve(names)


def test_a_file_may_import_its_neighbours_and_leaves_nothing_on_the_path(tmp_path):
    write(tmp_path, "gc_neighbour.py", "VALUE = 0.25\n")
    text = "from gc_neighbour import VALUE\ndef mine(network, parameters, batch):\n    return VALUE, {}\n"
    before = list(sys.path)
    try:
        assert loss(registry.backend(f"{write(tmp_path, 'own.py', text)}:mine")) == 0.25
    finally:
        sys.modules.pop("gc_neighbour", None)
    assert sys.path == before


@pytest.mark.parametrize("text", ["1 / 0", "import sys; del sys.path[0]", "import sys; sys.path.append('/elsewhere')"])
def test_the_path_is_left_as_the_file_leaves_it_without_its_folder(tmp_path, monkeypatch, text):
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = list(sys.path)
    path = write(tmp_path, "own.py", text + "\n" + FUNCTION)
    if text == "1 / 0":
        with pytest.raises(BackendBroken):
            registry.backend(f"{path}:mine")
    else:
        registry.backend(f"{path}:mine")
    assert [folder for folder in sys.path if folder != "/elsewhere"] == before


def test_a_file_shadows_no_module_of_its_name(tmp_path):
    before = sys.modules["json"]
    path = write(tmp_path, "json.py", FUNCTION)
    assert loss(registry.backend(f"{path}:mine")) == 0.5
    assert sys.modules["json"] is before


def test_a_file_may_hold_a_dataclass(tmp_path):
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n"
    assert registry.backend(f"{write(tmp_path, 'own.py', text + FUNCTION)}:mine")


def test_third_parties_register_by_entry_point(site):
    write(site, "gc_third.py", FUNCTION)
    distribution(site, "gc-third", "third = gc_third:mine")
    assert "third" in registry.registered()
    assert loss(registry.backend("third")) == 0.5
    status = {status.name: status for status in registry.installed()}
    assert (status["third"].requires, status["third"].version) == ("gc-third", "1.5")
    assert status["manual"].version == np.__version__


def test_an_entry_point_whose_module_breaks_harms_only_who_asks_for_it(site):
    write(site, "gc_third.py", "1 / 0")
    distribution(site, "gc-third", "third = gc_third:mine")
    assert registry.backend("manual")
    assert "third" in {status.name for status in registry.installed()}
    with pytest.raises(BackendBroken, match=r"^backend 'third' raises when imported: ZeroDivisionError"):
        registry.backend("third")


@pytest.mark.parametrize("names", [("manual",), ("third", "third")])
def test_a_name_registered_twice_is_refused_with_both_owners(site, names):
    for index, name in enumerate(names):
        distribution(site, f"gc-third-{index}", f"{name} = gc_third_{index}:mine")
    with pytest.raises(BackendError, match=rf"^backend '{names[0]}' is registered twice: \S+, gc_third_\d:mine$"):
        registry.registered()


def test_listing_imports_no_backend_and_tells_what_is_absent(monkeypatch):
    monkeypatch.setitem(BUILT_IN, "absent", Entry("gc_nowhere", "no-such-distribution"))
    status = {status.name: status.version for status in registry.installed()}
    assert status["absent"] is None
    assert status["manual"] == metadata.version("numpy")
    code = "import sys, gradcheck; gradcheck.installed(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "gradcheck.builds.registry" in loaded
    assert not {"torch", "autograd", "jax", "gradcheck_backends"} & set(loaded)


def test_metadata_is_read_once_and_again_where_something_was_missing(site, monkeypatch):
    monkeypatch.setitem(BUILT_IN, "late", Entry("gc_late", "gc-late"))
    write(site, "gc_late.py", "def build(network): return network\n")
    with pytest.raises(BackendNotInstalled):
        registry.backend("late")
    distribution(site, "gc-late")
    importlib.invalidate_caches()
    assert registry.backend("late").build(NETWORK) is NETWORK
    monkeypatch.setattr(metadata, "version", None)
    monkeypatch.setattr(metadata, "entry_points", None)
    assert registry.backend("late").build(NETWORK) is NETWORK
