"""The house: imports go one way, and what needs no Keras has none."""

import ast
import subprocess
import sys
from pathlib import Path

import headstart

ROOT = Path(headstart.__file__).parent

# From the ground up: a room may import the rooms above it in this list, and itself.
FLOORS = [
    "errors",
    "loading",
    "texts",
    "progress",
    "threads",
    "atomic",
    "objects",
    "specs",
    "recipe",
    "images",
    "pages",
    "features",
    "models",
    "evaluation",
    "distributed",
    "workplace",
    "training",
    "run_files",
    "answers",
    "bundle",
    "cluster",
    "records",
    "explaining",
    "submission",
    "auditing",
    "reporting",
    "comparing",
    "handover",
    "pipeline",
    "beginning",
    "folds",
    "exporting",
    "feature_files",
    "boards",
    "serving",
    "api",
    "__init__",
    "demo_data",
    "cli",
]


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(path: Path) -> set[str]:
    """The modules of headstart that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "headstart":
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.split(".")[0] == "headstart")
    return found


def test_imports_go_down_only():
    upwards = []
    for path in sorted(ROOT.rglob("*.py")):
        here = path.relative_to(ROOT).parts[0].removesuffix(".py")
        assert here in FLOORS, f"{path} is in no room: give it a place in FLOORS"
        for module in imports_of(path):
            if here in ("__init__", "cli") and room_of(module) != "cli":
                continue  # the front doors may use every room
            if FLOORS.index(room_of(module)) > FLOORS.index(here):
                upwards.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not upwards


def loaded_by(code: str) -> set[str]:
    """The modules that are loaded once some code has run in a new process."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_headstart_and_its_command_loads_neither_keras_nor_a_runtime():
    loaded = loaded_by("import headstart, headstart.cli.main")
    assert not loaded & {"keras", "tensorflow", "sklearn", "openvino", "h5py"}


def test_no_file_has_grown_out_of_its_purpose():
    longest = max(ROOT.rglob("*.py"), key=lambda path: len(path.read_text().splitlines()))
    assert len(longest.read_text().splitlines()) <= 420, longest
