"""What hopla uses of libraries beyond their documented interfaces: each module says so, and of which version.

That they do what hopla relies on is shown by each module's own tests.
"""

import ast
import importlib.metadata
import inspect
import pkgutil
import re
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase

LINE = re.compile(r"Private parts of (\S+) (\d[\w.]*\w): ((?:`[\w.]+`,?\s*)+)\.")
FOLDERS = ("apps", "hopla")
OTHERS = [settings.BASE_DIR / "tests" / name for name in ("runner.py", "flush.py")]
# Documented, or used by everyone; `_request` is how REST framework's request is asked for Django's.
PUBLIC = {"_meta", "_state", "_default_manager", "_base_manager", "_request", "_declared_fields"}
PUBLIC |= {"_exit", "_make", "_replace", "_testMethodName"}  # of the standard library


def modules() -> dict[Path, ast.Module]:
    paths = [path for folder in FOLDERS for path in (settings.BASE_DIR / folder).rglob("*.py")]
    return {path: ast.parse(path.read_text()) for path in [*paths, *OTHERS] if "migrations" not in path.parts}


def declared(module: ast.Module) -> list[tuple[str, str, list[str]]]:
    """The package, its version and the dotted names of its parts, for each line in the module's docstring."""
    found = LINE.findall(ast.get_docstring(module) or "")
    return [(package, version, dotted_names(parts)) for package, version, parts in found]


def dotted_names(parts: str) -> list[str]:
    """`.b` after `module.A.a` is `module.A.b`."""
    names = []
    for name in re.findall(r"[\w.]+", parts):
        names.append(names[-1].rpartition(".")[0] + name if name.startswith(".") else name)
    return names


def is_there(name: str) -> bool:
    """Whether there is something of this dotted name, perhaps an attribute that a class sets when it is at work."""
    path, _, attribute = name.rpartition(".")
    owner = pkgutil.resolve_name(path)
    if hasattr(owner, attribute):
        return True
    classes = owner.__mro__ if inspect.isclass(owner) else ()
    return any(re.search(rf"\.{attribute}\b", inspect.getsource(each)) for each in classes if each is not object)


def private_names_used(module: ast.Module) -> set[str]:
    names = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    return {name for name in names if re.fullmatch(r"_[a-z]\w*", name)}


def names_made(module: ast.Module) -> set[str]:
    """Those of functions, variables and attributes that the module itself defines."""
    made = set()
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            made.add(node.attr)
    return made


class PrivatePartsTests(SimpleTestCase):
    def test_they_are_where_they_were(self):
        found = 0
        for path, module in modules().items():
            for package, _version, parts in declared(module):
                for part in parts:
                    found += 1
                    with self.subTest(part, package=package, used_in=str(path)):
                        self.assertTrue(is_there(part))
        self.assertGreater(found, 40)

    def test_no_version_is_newer_than_the_one_in_use(self):
        for path, module in modules().items():
            for package, version, _parts in declared(module):
                with self.subTest(path=str(path)):
                    in_use = importlib.metadata.version(package)
                    self.assertLessEqual(*(tuple(map(int, each.split("."))) for each in (version, in_use)))

    def test_modules_that_use_some_say_so(self):
        parsed = modules()
        ours = set().union(*map(names_made, parsed.values()))
        for path, module in parsed.items():
            said = {part.rpartition(".")[2] for *_, parts in declared(module) for part in parts}
            with self.subTest(path=str(path)):
                self.assertEqual(private_names_used(module) - ours - PUBLIC - said, set())
