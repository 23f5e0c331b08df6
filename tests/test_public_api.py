from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import ets_client
from ets_client import AsyncPolicyClient, SamplingParams, profiles

MODULES = [
    info.name
    for info in pkgutil.walk_packages(ets_client.__path__, "ets_client.")
    if not info.name.startswith(("ets_client.cli", "ets_client.prometheus", "ets_client.search"))
]


@pytest.mark.parametrize(
    ("module", "offered"),
    [
        (ets_client, set(ets_client._MODULE_OF)),
        (profiles, {name for name, value in vars(profiles).items() if name[0] != "_" and not inspect.ismodule(value)}),
    ],
)
def test_all_names_exactly_what_can_be_imported(module: object, offered: set[str]) -> None:
    declared: list[str] = module.__all__  # type: ignore[attr-defined]
    assert set(declared) == offered
    assert declared == sorted(declared)
    assert len(declared) == len(set(declared))


def test_type_checkers_see_the_names_where_they_are_loaded_from() -> None:
    module = ast.parse(inspect.getsource(ets_client))
    seen = {
        name.name: statement.module
        for statement in ast.walk(module)
        if isinstance(statement, ast.ImportFrom) and statement.level == 1
        for name in statement.names
    }
    assert seen == ets_client._MODULE_OF


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = ets_client.Nothing  # type: ignore[attr-defined]
    assert set(ets_client.__all__) <= set(dir(ets_client))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_declares_names_that_exist(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert [missing for missing in getattr(module, "__all__", []) if not hasattr(module, missing)] == []


@pytest.mark.parametrize("name", ets_client.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(ets_client, name)
    assert (value.__doc__ or "").strip()
    if inspect.isclass(value):
        members = {key: member for key, member in vars(value).items() if not key.startswith("_")}
        methods = [key for key, member in members.items() if inspect.isfunction(member) or isinstance(member, property)]
        assert [key for key in methods if not inspect.getdoc(getattr(value, key))] == []


def test_every_argument_of_the_client_is_documented() -> None:
    for name, method in inspect.getmembers(AsyncPolicyClient, inspect.isfunction):
        if name.startswith("_"):
            continue
        documented = inspect.getdoc(method) or ""
        arguments = [argument for argument in inspect.signature(method).parameters if argument != "self"]
        assert [argument for argument in arguments if f"{argument}:" not in documented] == [], name
    options = ets_client.ClientOptions.__annotations__
    assert [option for option in options if f"{option}:" not in (AsyncPolicyClient.__doc__ or "")] == []


def test_the_client_does_without_what_is_optional() -> None:
    absent = "for name in ('typer', 'rich', 'tokenizers', 'click'): sys.modules[name] = None"
    subprocess.run([sys.executable, "-c", f"import sys\n{absent}\nimport ets_client"], check=True)


def test_importing_the_client_imports_nothing_that_is_optional() -> None:
    loaded = loaded_by("from ets_client import *")
    assert "pydantic" in loaded
    assert not loaded & {"typer", "tokenizers", "yaml", "platformdirs", "httpx", "httpcore"}


def test_importing_the_package_alone_loads_nothing_heavy() -> None:
    assert not loaded_by("import ets_client") & {"asyncio", "pydantic", "httpx", "tenacity", "yaml", "ssl"}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_typed_signature_of_sampling_has_exactly_its_fields() -> None:
    module = ast.parse(inspect.getsource(inspect.getmodule(SamplingParams) or ets_client))
    (typed, _) = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    assert [argument.arg for argument in typed.args.kwonlyargs] == list(SamplingParams.model_fields)


def test_the_package_is_typed() -> None:
    assert (importlib.resources.files(ets_client) / "py.typed").is_file()
