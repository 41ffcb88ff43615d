"""The command line: exit codes, where the report goes, and one clear line for whatever cannot be."""

import importlib
import inspect
import io
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from gradcheck import MSE, Case, Dense, Given, Logistic, Network, ReLU, cli, save
from gradcheck.cli.app import Exit, app, main
from gradcheck.cli.commands import COMMANDS

GOOD = Case(Network((2,), (Dense(3), Dense(1)), Logistic()), data="two-moons", samples=8)
ON_A_KINK = Case(
    Network((1,), (Dense(1), ReLU()), MSE()),
    data=Given.of({"inputs": [[1]], "targets": [[1]]}),
    init=Given.of({"0.weight": [[1]], "0.bias": [-1]}),
)
OWN = """
import sys, time
from gradcheck import backend

def right(network, parameters, batch):
    return backend("manual").build(network).loss_and_gradients(parameters, batch)

def talking(network, parameters, batch):
    print("hello", flush=True)
    return right(network, parameters, batch)

def doubled(network, parameters, batch):
    loss, gradients = right(network, parameters, batch)
    return loss, {**gradients, "0.weight": 2 * gradients["0.weight"]}

def inexact(network, parameters, batch):
    loss, gradients = right(network, parameters, batch)
    return loss, {**gradients, "0.weight": (1 + 1e-9) * gradients["0.weight"]}

def raising(network, parameters, batch):
    raise RuntimeError("[bold]no[/bold]")

def exiting(network, parameters, batch):
    sys.exit(0)

def sleeping(network, parameters, batch):
    open("started", "w").close()
    time.sleep(60)

three = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, but for a good description and some backends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    save(GOOD, "good.toml")
    save(ON_A_KINK, "kink.toml")
    Path("own.py").write_text(OWN)
    return tmp_path


def run(*arguments, monkeypatch):
    """The command in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["gradcheck", *arguments])
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def gradcheck(monkeypatch):
    return lambda *arguments: run(*arguments, monkeypatch=monkeypatch)


def command(*arguments):
    return [sys.executable, "-m", "gradcheck", *arguments]


def spawn(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False, **options)


def backends(*names):
    return [word for name in names for word in ("--backend", name if name == "manual" else f"own.py:{name}")]


# Verdicts and exit codes


def test_a_correct_backend_exits_with_0_and_says_so_on_standard_output_only():
    done = spawn("verify", "good.toml", "--backend", "manual")
    assert (done.returncode, done.stderr) == (0, "")
    assert "verdict: correct" in done.stdout
    assert "2-3-1, 13 parameters, 8 samples of two-moons, float64" in done.stdout


def test_without_a_file_the_two_moons_network_is_verified_with_all_backends():
    pytest.importorskip("torch")
    pytest.importorskip("autograd")
    done = spawn("verify", "--json", "-")
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["verdict"] == "correct"
    assert report["title"].startswith("2-15-1, 61 parameters, 400 samples of two-moons")
    assert {finding["backend"] for finding in report["findings"]} == {"manual", "autograd", "torch"}


@pytest.mark.parametrize(
    ("name", "file", "options", "code"),
    [
        ("right", "good.toml", [], 0),
        ("doubled", "good.toml", [], 1),
        ("doubled", "good.toml", ["--accuracy", "0.1"], 1),
        ("raising", "good.toml", [], 1),
        ("exiting", "good.toml", [], 1),
        ("inexact", "good.toml", [], 1),
        ("inexact", "good.toml", ["--accuracy", "1e-6"], 0),
        ("inexact", "good.toml", ["--accuracy", "1e-12"], 1),
        ("inexact", "good.toml", ["--accuracy", "1e-6", "--fail-on", "inexact"], 1),
        ("inexact", "good.toml", ["--accuracy", "1e-6", "--fail-on", "nonsmooth"], 0),
        ("right", "kink.toml", [], 3),
        ("right", "kink.toml", ["--fail-on", "unresolved"], 3),
        ("right", "kink.toml", ["--fail-on", "nonsmooth"], 1),
        ("right", "kink.toml", ["--fail-on", "inexact", "--fail-on", "nonsmooth"], 1),
    ],
)
def test_the_exit_code_is_that_of_the_verdict_and_what_is_asked_to_fail(gradcheck, name, file, options, code):
    assert gradcheck("verify", file, *backends(name), *options)[0] == code


def test_one_wrong_backend_does_not_hide_the_others(gradcheck):
    code, out, _ = gradcheck("verify", "good.toml", *backends("raising", "exiting", "manual"), "--json", "-")
    assert code == 1
    verdicts = {(finding["backend"], finding["name"]): finding["verdict"] for finding in json.loads(out)["findings"]}
    assert verdicts.pop(("raising", "loss")) == verdicts.pop(("exiting", "loss")) == "wrong"
    assert len(verdicts) == 5
    assert set(verdicts.values()) == {"correct"}


# Where the report goes


def test_json_goes_to_a_file_beside_the_table_on_standard_output(gradcheck):
    code, out, err = gradcheck("verify", "good.toml", *backends("doubled"), "--json", "report.json")
    assert (code, err) == (1, "")
    assert "verdict: wrong" in out
    report = json.loads(Path("report.json").read_text())
    assert report["format"] == 1
    assert (report["verdict"], report["wrong"]) == ("wrong", ["0.weight"])
    assert {"name", "backend", "verdict", "error", "bound", "resolution", "worst_index"} <= report["findings"][0].keys()
    assert {"diagnoses", "evaluations", "notes", "title"} <= report.keys()
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_json_on_standard_output_is_pure_though_a_backend_prints():
    done = spawn("verify", "good.toml", *backends("talking"), "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "correct"
    assert "hello" in done.stderr
    assert "verdict: correct" in done.stderr


def test_infinite_numbers_are_null_in_the_json(gradcheck):
    code, out, _ = gradcheck("verify", "good.toml", *backends("raising"), "--json", "-")

    def refuse(name):
        raise AssertionError(name)

    assert code == 1
    assert json.loads(out, parse_constant=refuse)["findings"][0]["resolution"] is None


def test_what_a_backend_says_is_shown_as_it_is_and_not_as_markup(gradcheck):
    assert "RuntimeError: [bold]no[/bold]" in gradcheck("verify", "good.toml", *backends("raising"))[1]


def test_a_written_report_replaces_an_old_one_whole_and_through_a_link(gradcheck):
    Path("old.json").write_text("x" * 10**6)
    Path("link.json").symlink_to("old.json")
    Path("held.json").hardlink_to("old.json")
    assert gradcheck("verify", "good.toml", *backends("manual"), "--json", "link.json")[0] == 0
    assert json.loads(Path("old.json").read_text())["verdict"] == "correct"
    assert Path("link.json").is_symlink()
    assert Path("held.json").read_text() == "x" * 10**6


@pytest.mark.parametrize("target", ["folder", "no/report.json", "good.toml/report.json"])
def test_an_output_that_cannot_be_written_is_one_line_before_anything_is_done(gradcheck, target):
    Path("folder").mkdir()
    Path("folder/inside").write_text("mine")
    before = Path("good.toml").read_text()
    code, out, err = gradcheck("verify", "good.toml", *backends("sleeping"), "--json", target)
    assert (code, out) == (2, "")
    assert not Path("started").exists()
    assert one_line(err).startswith(f"gradcheck: {target}: cannot be written: ")
    assert Path("good.toml").read_text() == before
    assert Path("folder/inside").read_text() == "mine"


def test_an_existing_output_survives_a_write_that_fails(gradcheck, monkeypatch):
    Path("report.json").write_text("mine")

    def full(file, new):
        assert json.loads(Path(new).read_text())["verdict"] == "correct"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copymode", full)
    code, _, err = gradcheck("verify", "good.toml", *backends("manual"), "--json", "report.json")
    assert code == 2
    assert one_line(err) == "gradcheck: report.json: cannot be written: No space left on device"
    assert Path("report.json").read_text() == "mine"
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_bad_input_leaves_an_existing_output_alone(gradcheck):
    Path("report.json").write_text("mine")
    assert gradcheck("verify", "missing.toml", "--json", "report.json")[0] == 2
    assert gradcheck("verify", "good.toml", "--backend", "nobody", "--json", "report.json")[0] == 2
    assert Path("report.json").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("verify", "good.toml", *backends("manual")), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert one_line(done.stderr) == "gradcheck: <stdout>: cannot be written: No space left on device"


def test_a_reader_that_has_gone_changes_no_exit_code():
    for name, code in (("manual", 0), ("doubled", 1)):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            command("verify", "good.toml", *backends(name)), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (code, "")


def test_an_output_that_speaks_only_ascii_gets_the_report_all_the_same(gradcheck):
    Path("dönnées.csv").write_text("a,b,y\n1,2,1\n")
    save(Case(GOOD.network, data="dönnées.csv"), "named.toml")
    done = spawn("verify", "named.toml", *backends("manual"), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"d\xf6nn\xe9es.csv" in done.stdout


# Bad usage and bad input


def one_line(err):
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing command."),
        (["verfy"], "No such command 'verfy'."),
        (["verify", "--jsn", "x"], "No such option: --jsn"),
        (["verify", "a.toml", "b.toml"], "Got unexpected extra argument"),
        (["verify", "--accuracy", "nan"], "Invalid value for '--accuracy': expected a finite number >= 0, got nan"),
        (["verify", "--accuracy", "-1"], "Invalid value for '--accuracy': expected a finite number >= 0, got -1.0"),
        (["verify", "--accuracy", "inf"], "Invalid value for '--accuracy': expected a finite number >= 0, got inf"),
        (["verify", "--accuracy", "x"], "Invalid value for '--accuracy'"),
        (["verify", "--seed", "-1"], "Invalid value for '--seed': expected a finite number >= 0, got -1"),
        (["verify", "--fail-on", "wrong"], "Invalid value for '--fail-on': "),
        (["verify", "missing.toml"], "missing.toml: No such file or directory"),
        (["verify", "good.yaml"], "good.yaml: expected a file ending in .toml or .json"),
        (["verify", "folder.toml"], "folder.toml: "),
        (["verify", "good.toml", "--backend", "tosch"], "unknown backend 'tosch', did you mean 'torch'?"),
        (["verify", "good.toml", *backends("manual", "manual")], "two backends are called 'manual'"),
        (["verify", "good.toml", *backends("nobody")], "backend 'own.py:nobody': no attribute 'nobody', "),
        (
            ["verify", "good.toml", *backends("three")],
            "backend 'own.py:three': expected build(network) or a function, got int",
        ),
        (["verify", "good.toml", "--backend", "no.py:x"], "backend 'no.py:x': no.py: no such file"),
        (["verify", "good.toml", "--backend", "bad.py:x"], "backend 'bad.py:x' raises when imported: SyntaxError: "),
        (["verify", "good.toml", "--backend", "nowhere:x"], "backend 'nowhere:x': no module called 'nowhere'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_usage_is_one_line_and_2(gradcheck, arguments, sentence):
    Path("folder.toml").mkdir()
    Path("bad.py").write_text("def x(:")
    code, out, err = gradcheck(*arguments)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"gradcheck: {sentence}")


HEAD = 'inputs = [2]\nloss = "logistic"\nlayers = [{ type = "dense", units = 1 }]\n'


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        (HEAD.replace("units = 1", "units = 0"), "layers[0].units: expected int >= 1, got 0"),
        (HEAD.replace("dense", "dens"), "layers[0].type: unknown layer 'dens', did you mean 'dense'?"),
        (
            HEAD.replace("[{", '[{ type = "dense", units = 100000000000000 }, {'),
            "layers: 400,000,000,000,001 parameters need about ",
        ),
        (HEAD + "[case]\nsamples = 0", "case.samples: expected int >= 1, got 0"),
        (HEAD + "[case]\nsamples = 100000000000000", "samples: 100,000,000,000,000 samples of "),
        (HEAD + '[case]\ndata = "two-moon"', "case.data: unknown data 'two-moon', did you mean 'two-moons'?"),
        (HEAD + '[case]\ndata = "missing.csv"', "missing.csv: No such file or directory"),
        (HEAD + '[case]\ndata = "my data.csv"', "my data.csv: targets[0, 0] is 7, Logistic expects -1 or +1"),
        (HEAD + "[case]\nscale = 1e300\ndtype = 'float32'", "scale 1e+300: 0.weight[0, 0] is "),
        (HEAD + "[", "Invalid"),
    ],
    ids=lambda value: value if "\n" not in value else "",
)
def test_a_bad_description_or_its_data_is_one_line_that_names_the_description(gradcheck, description, sentence):
    Path("my data.csv").write_text("a,b,y\n1,2,7\n")
    Path("net.toml").write_text(description)
    code, out, err = gradcheck("verify", "net.toml", *backends("manual"))
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"gradcheck: net.toml: {sentence}")


def test_bad_input_is_one_line_from_the_outside_too():
    done = spawn("verify", "missing.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr) == "gradcheck: missing.toml: No such file or directory"


def test_a_backend_that_is_not_installed_is_one_line(gradcheck, monkeypatch):
    from gradcheck.builds.registry import BUILT_IN, Entry

    monkeypatch.setitem(BUILT_IN, "torch", Entry("gradcheck_backends.pytorch", "no-such-distribution", "torch"))
    code, out, err = gradcheck("verify", "good.toml", "--backend", "torch")
    assert (code, out) == (2, "")
    assert one_line(err).endswith("needs no-such-distribution, which is not installed: pip install 'gradcheck[torch]'")


def test_running_out_of_memory_is_one_line(gradcheck, monkeypatch):
    def big(*_args, **_options):
        raise MemoryError("Unable to allocate 1 PiB")

    monkeypatch.setattr("gradcheck.cli.checks.verify", big)
    code, _, err = gradcheck("verify", "good.toml")
    assert (code, one_line(err)) == (2, "gradcheck: out of memory: Unable to allocate 1 PiB")


def test_an_error_of_ours_is_4_with_its_traceback_and_what_to_do(gradcheck, monkeypatch):
    def broken(*_args, **_options):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("gradcheck.cli.checks.verify", broken)
    code, _, err = gradcheck("verify", "good.toml")
    assert code == Exit.INTERNAL == 4
    assert "Traceback" in err
    assert "please report it" in err.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_an_interrupt_is_130_and_no_traceback():
    process = subprocess.Popen(
        command("verify", "good.toml", *backends("sleeping")), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    give_up = time.monotonic() + 30
    while not Path("started").exists() and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert Path("started").exists()


# Without anything to verify


def test_help_is_no_error(gradcheck):
    assert gradcheck("--help")[0] == 0
    assert gradcheck("verify", "--help")[0] == 0


def test_help_lists_every_command_with_the_line_of_its_docstring(gradcheck):
    listed = list(COMMANDS)
    for module in pkgutil.iter_modules(cli.__path__, "gradcheck.cli."):
        importlib.import_module(module.name)
    entered = {row.name: inspect.getdoc(row.callback) for row in app.registered_commands}  # a later row replaces its place
    assert {name: " ".join(text.split("\n\n")[0].split()) for name, text in entered.items()} == {
        name: row.help for name, row in COMMANDS.items()
    }
    lines = gradcheck("--help")[1].partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == listed
    assert all(COMMANDS[line.split()[0]].help.startswith(line.split(None, 1)[1].rstrip(".")) for line in lines)


def imported(*arguments):
    """The packages, and the modules of backends, that a command has imported by its end."""
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); from gradcheck.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    names = done.stdout.splitlines()[-1].split()
    return {name if name.startswith("gradcheck_backends") else name.partition(".")[0] for name in names}


HEAVY = {"torch", "jax", "sklearn", "hypothesis", "distributed", "sqlite3", "matplotlib"}


def test_help_imports_typer_and_no_other_library():
    names = imported("--help")
    assert {"gradcheck", "typer"} <= names
    assert not {*HEAVY, "numpy", "scipy", "autograd", "msgspec", "rich", "gradcheck_backends"} & names


def test_listing_backends_imports_none_of_them():
    names = imported("backends")
    assert "typer" in names
    assert not {*HEAVY, "autograd", "gradcheck_backends"} & names


def test_verifying_imports_the_backends_asked_for_and_no_other():
    names = imported("verify", "--backend", "manual")
    assert {"numpy", "gradcheck_backends.manual"} <= names
    assert not {*HEAVY, "autograd"} & names
    names = imported("verify", "--backend", "manual", "--backend", "autograd")
    assert {"autograd", "gradcheck_backends.hips_autograd"} <= names
    assert not HEAVY & names


def test_data_of_scikit_learn_imports_it():
    """The twin: what is imported late is seen."""
    pytest.importorskip("sklearn")
    save(Case(Network((64,), (Dense(1),), MSE()), data="digits", samples=2), "digits.toml")
    assert "sklearn" in imported("verify", "digits.toml", "--backend", "manual")
