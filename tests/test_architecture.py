"""The house stands: families without a cycle, private rooms, light commands, tables whose every entry loads."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engage_cli.registry import Registry

ROOT = Path(__file__).parent.parent / "engage_cli"
HEAVY = {
    "torch", "transformers", "tokenizers", "safetensors", "catboost", "sklearn", "scipy", "pandas", "numpy", "PIL",
    "pyarrow", "joblib", "onnx", "huggingface_hub", "filelock", "matplotlib", "pydantic", "jinja2", "imagehash",
    "xxhash", "ray", "av", "fastapi", "starlette", "uvicorn", "mlflow", "trackio",
}  # fmt: skip
# Families that consist of families: each of their folders is a room of its own.
SUBDIVIDED = ("models", "steps")
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
REFERENCE = re.compile(r"^(engage_cli(?:\.\w+)+):\w+$")


def family_of(module: str) -> str:
    """Return "data", "models.neural", "steps.train", or the name of a module that stands alone."""
    parts = module.split(".")[1:]
    is_room = len(parts) > 2 or (len(parts) == 2 and MODULES[module].name == "__init__.py")
    return ".".join(parts[:2]) if parts[:1] and parts[0] in SUBDIVIDED and is_room else ".".join(parts[:1])


def imports_of(module: str, *, at_runtime: bool = True) -> set[str]:
    """Return the modules that a module imports, but for those under TYPE_CHECKING where only the runtime counts."""
    tree = ast.parse(MODULES[module].read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if at_runtime and id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in MODULES and name not in (module, "engage_cli")}


def graph() -> dict[str, set[str]]:
    """Return which families each family imports at runtime."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        here = family_of(module)
        found.setdefault(here, set()).update(family_of(other) for other in imports_of(module))
    return {family: others - {family} for family, others in found.items() if family}


def test_families_import_each_other_without_a_cycle() -> None:
    order = list(graphlib.TopologicalSorter(graph()).static_order())  # a cycle raises, and names its families
    assert len(order) > 20


def test_the_command_line_stands_on_steps_and_steps_on_everything_else() -> None:
    for family, others in graph().items():
        if family not in ("cli", "main", "__main__"):
            assert not {"cli", "main"} & others, family
        if not family.startswith(("steps", "cli", "main", "__main__", "api")):
            assert not [other for other in others if other.startswith("steps")], family


def test_private_modules_are_imported_by_their_own_family_alone() -> None:
    for module in MODULES:
        for other in imports_of(module, at_runtime=False):
            if other.rpartition(".")[2].startswith("_"):
                assert family_of(module) == family_of(other), f"{module} imports {other}"


def test_what_only_its_own_family_imports_is_private() -> None:
    users: dict[str, set[str]] = {module: set() for module in MODULES}
    for module in MODULES:
        for other in imports_of(module, at_runtime=False):
            users[other].add(family_of(module))
        for node in ast.walk(ast.parse(MODULES[module].read_text())):  # entries of tables are public
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := REFERENCE.match(node.value)):
                users[found[1]].add("a table")
    for module, families in users.items():
        name = module.rpartition(".")[2]
        if families == {family_of(module)} and family_of(module) != "cli" and MODULES[module].name != "__init__.py":
            assert name.startswith("_"), f"{module} is used by its own family alone: call it _{name}"


def test_no_file_is_long_or_called_utils() -> None:
    for module, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= 300, module
        assert path.stem not in ("utils", "helpers", "common", "base"), module


def test_no_folder_holds_a_crowd() -> None:
    for folder in {path.parent for path in MODULES.values()}:
        assert len(list(folder.glob("*.py"))) <= 20, folder


def tables() -> list[Registry]:
    found = []
    for module in MODULES:
        if module != "engage_cli.__main__" and "Registry(" in MODULES[module].read_text():
            values = vars(importlib.import_module(module)).values()
            found += [value for value in values if isinstance(value, Registry)]
            found += [
                one for value in values if isinstance(value, dict) for one in value.values() if isinstance(one, Registry)
            ]
    return list({id(table): table for table in found}.values())


@pytest.mark.parametrize("table", tables(), ids=lambda table: f"{table.kind}:{next(iter(table))}")
def test_every_entry_of_every_table_loads(table: Registry) -> None:
    for name in table:
        assert callable(table.load(name))


@pytest.mark.parametrize("arguments", [["--help"], ["train-classifier", "--help"], ["prepare", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from engage_cli.main import app\n"
        f"result = CliRunner().invoke(app, {arguments}); assert result.exit_code == 0\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_nothing_is_unpickled_and_no_remote_code_is_trusted() -> None:
    for path in MODULES.values():
        text = path.read_text()
        for word in ("import pickle", "joblib.load", "torch.load(", "trust_remote_code=True"):
            assert word not in text, f"{path}: {word}"


def test_functions_take_few_parameters() -> None:
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = node.args
                number = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
                assert number <= 12, f"{module}.{node.name} has {number} parameters"
