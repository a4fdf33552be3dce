"""Parts are told what they need as they are made."""

import ast
from collections.abc import Iterator

from conftest import ROOT

PARTS = {"task", "data", "network", "trainer", "cfg", "pl_module", "datamodule"}
OFFERED = {"trainer.should_stop"}  # what Lightning asks callbacks to set


def set_from_outside(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        for target in targets if isinstance(node, ast.Assign | ast.AugAssign) else []:
            while isinstance(target, ast.Subscript):
                target = target.value
            if isinstance(target, ast.Attribute):
                name = ast.unparse(target)
                if name.partition(".")[0] in PARTS and name not in OFFERED:
                    yield name


def test_such_an_assignment_is_found_wherever_it_stands():
    text = "def f(task, data):\n task.recipe = 1\n data.a.b['c'] |= 2\n x, own = 3, task.recipe\n"
    assert [*set_from_outside(ast.parse(text))] == ["task.recipe", "data.a.b"]


def test_nothing_is_set_on_a_task_its_data_or_its_configuration_from_outside():
    files = sorted((ROOT / "src").rglob("*.py"))
    found = {path.name: [*set_from_outside(ast.parse(path.read_text()))] for path in files}
    assert {name: names for name, names in found.items() if names} == {}
