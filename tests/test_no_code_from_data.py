"""Nothing that is read is ever run: no call of the project turns data into code, and none gives up checking TLS."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = ("core", "ingest", "stream", "alerting", "trainer", "desk", "newstide", "benchmarks")

# They run what they read, or unfold without bound (XML is read by feedparser's expat with its limits).
MODULES = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "xml", "tarfile"}
CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
METHODS = {
    "os": {"system", "popen"},
    "yaml": {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"},
    "tempfile": {"mktemp"},
    "ssl": {"_create_unverified_context"},
    "subprocess": {"getoutput", "getstatusoutput"},
}
# Arguments that may not have this value, and those that must.
FORBIDDEN_ARGUMENTS = {"shell": True, "allow_pickle": True, "trust_remote_code": True, "verify": False}
REQUIRED_ARGUMENTS = {("torch", "load"): ("weights_only", True)}
ATTRIBUTES = {"CERT_NONE", "extractall"}
# Compared by `hmac.compare_digest`, or by the database as hashes.
SECRET = re.compile(r"^(\w*_)?(token|secret|password|csrf)(_hash)?$", re.IGNORECASE)


def faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            names = []
        yield from (f"{node.lineno}: imports {name}" for name in names if name.partition(".")[0] in MODULES)
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            yield f"{node.lineno}: {node.attr}"
        if isinstance(node, ast.Compare) and any(isinstance(one, (ast.Eq, ast.NotEq)) for one in node.ops):
            sides = [node.left, *node.comparators]
            constant = any(isinstance(side, ast.Constant) for side in sides)
            found = [] if constant else [side for side in sides if SECRET.search(ast.unparse(side).rpartition(".")[2])]
            yield from (f"{node.lineno}: compares {ast.unparse(side)} in a time that tells of it" for side in found)
        if isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {fault}" for fault in _call_faults(node))


def _call_faults(call: ast.Call) -> Iterator[str]:
    function = call.func
    given = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
    yield from (f"{name}={value}" for name, value in FORBIDDEN_ARGUMENTS.items() if given.get(name) is value)
    if isinstance(function, ast.Name) and function.id in CALLS:
        yield f"calls {function.id}"
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        place = (function.value.id, function.attr)
        if function.attr in METHODS.get(function.value.id, ()):
            yield f"calls {'.'.join(place)}"
        name, value = REQUIRED_ARGUMENTS.get(place, ("", None))
        if name and given.get(name) is not value:
            yield f"calls {'.'.join(place)} without {name}={value}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_data_becomes_code(room: str) -> None:
    files = sorted((PROJECT / room).rglob("*.py"))
    assert files
    assert [f"{file.relative_to(PROJECT)}:{fault}" for file in files for fault in faults(file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "import xml.etree.ElementTree as ET", "import os.path, dill"),
        *("eval('1')", "exec(text)", "__import__(name)", "os.system('ls')", "yaml.load(text)", "tempfile.mktemp()"),
        *("subprocess.run('ls', shell=True)", "np.load(path, allow_pickle=True)", "torch.load(path)"),
        *(
            "torch.load(path, weights_only=False)",
            "httpx.get(url, verify=False)",
            "context.verify_mode = ssl.CERT_NONE",
        ),
        *("archive.extractall(path)", "given == settings.push_token", "principal.csrf != given", "a == b == password"),
    ],
)
def test_each_of_them_would_be_found(line: str) -> None:
    assert list(faults(line))


@pytest.mark.parametrize(
    "line",
    [
        *("network.eval()", "torch.load(path, weights_only=True)", "yaml.safe_load(text)", "re.compile('a')"),
        *("subprocess.run(['ls'], shell=False)", "httpx.get(url, verify=context)", "from pickles import load"),
        *("tokens == 3", "password == ''", "hmac.compare_digest(given, token)"),
    ],
)
def test_what_is_harmless_is_not(line: str) -> None:
    assert list(faults(line)) == []
