"""The folders import downwards only, files stay short, and ``import ebm_ref`` is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ebm_ref

PACKAGE = Path(ebm_ref.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LAYERS = (
    {"errors", "compile", "device", "files", "parallel", "progress"},
    {"maths"},
    {"kernels"},
    {"models"},
    {"exact"},
    {"samplers"},
    {"estimate"},
    {"learning"},
    {"oracle", "datasets", "plots", "io", "sklearn"},
    {"benchmarks"},
    {"cli", "__init__", "__main__"},
)
PEERS_ALLOWED = {
    "errors": {"errors"},
    "files": {"errors"},
    "compile": {"errors"},
    "device": {"compile", "errors"},
    "parallel": {"progress"},
}
LONGEST = 400


def part_of(path: Path) -> str:
    """The folder or module right below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def level(part: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def imported_parts(source: str) -> set[str]:
    """Parts of the package that a file imports, anywhere in it (``if TYPE_CHECKING`` too)."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("ebm_ref.")}


def may_import(part: str, other: str) -> bool:
    if part == other:
        return True
    if part == "oracle":
        return other == "errors"
    if part in PEERS_ALLOWED:
        return other in PEERS_ALLOWED[part]
    return level(other) < level(part) or (part in LAYERS[-3] and other in LAYERS[-3])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_is_short_and_imports_downwards(path):
    source = path.read_text()
    assert len(source.splitlines()) <= LONGEST
    wrong = {other for other in imported_parts(source) if not may_import(part_of(path), other)}
    assert not wrong, f"{part_of(path)} must not import {sorted(wrong)}"


@pytest.mark.parametrize(
    ("part", "other"),
    [("maths", "kernels"), ("models", "exact"), ("exact", "samplers"), ("oracle", "models"), ("errors", "maths")],
)
def test_the_rule_rejects_upward_imports(part, other):
    assert not may_import(part, other)
    assert imported_parts(f"def f():\n    from ebm_ref.{other} import thing\n") == {other}


def test_import_loads_nothing_heavy():
    code = "import sys, ebm_ref; print(*sorted({'numba', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names_are_all_there():
    assert sorted(set(ebm_ref.__all__)) == sorted(ebm_ref.__all__)
    for name in ebm_ref.__all__:
        assert getattr(ebm_ref, name) is getattr(ebm_ref, name)
        assert name in dir(ebm_ref)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ebm_ref.nonsense
