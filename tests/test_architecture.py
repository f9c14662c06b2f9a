"""The borders and house rules that a machine can keep."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("relcoord", "checklists", "releases")


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders or APPS:
        paths = (ROOT / folder).rglob("*.py") if (ROOT / folder).is_dir() else [ROOT / folder]
        for path in sorted(paths):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each call as line and dotted name, such as `timezone.now`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def test_the_borders_between_modules_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_model_s_save_holds_no_logic() -> None:
    found = [
        f"{path}: {node.name}.save"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(base_is_a_model(base) for base in node.bases)
        if any(isinstance(part, ast.FunctionDef) and part.name == "save" for part in node.body)
    ]
    assert found == []


def base_is_a_model(base: ast.expr) -> bool:
    return ast.unparse(base) in {"models.Model", "Model", "AbstractUser", "ItemText", "PhaseText"}


def test_domain_work_hangs_on_no_signal() -> None:
    signals = {"post_save", "pre_save", "post_delete", "pre_delete", "m2m_changed"}
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and signals & {alias.name for alias in node.names}
    ]
    assert found == []


@pytest.mark.parametrize("name", ["tminus.py", "blueprints.py", "markdown"])
def test_what_is_pure_asks_no_clock(name: str) -> None:
    asking = {"timezone.now", "datetime.now", "datetime.utcnow", "date.today", "time.time"}
    found = [
        f"{path}:{line}" for path, tree in modules(f"checklists/{name}") for line, call in calls(tree) if call in asking
    ]
    assert found == []


def test_every_package_with_code_says_what_it_is_for() -> None:
    silent = [
        path
        for path, tree in modules()
        if tree.body and ast.get_docstring(tree) is None and not path.endswith(("apps.py", "admin.py", "urls.py"))
    ]
    assert silent == []


def test_every_app_brings_a_database_from_empty_to_head(django_db_setup: None, db: None) -> None:
    from django.core.management import call_command

    call_command("migrate", "--check", verbosity=0)
