"""Every name of TensorRT that our code uses,
looked up in the real bindings of each version that we support.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import pytest

from emodict.engine import tensorrt_api as running
from emodict_export.plan import tensorrt_api as building

TENSORRT = ("10.3.0", "10.16.1.11", "11.4.0.106")
RTX = "tensorrt_rtx"
APIS = (running, building)
Probe = Callable[[str, Mapping[str, Sequence[str]]], dict[str, Any]]


def tables(version: str) -> Iterator[tuple[str, type]]:
    """(class in the bindings, our Protocol) of all that this version must have."""
    alone = "RTX_ALONE" if version == RTX else "TENSORRT_ALONE"
    for api in APIS:
        yield from api.BOTH.items()
        yield from getattr(api, alone, {}).items()


def members(protocol: type) -> dict[str, Any]:
    """Names that a Protocol asks for, its bases' included: methods,
    properties and annotated attributes.
    """
    found: dict[str, Any] = {}
    for cls in reversed(protocol.__mro__):
        if getattr(cls, "_is_protocol", False) and cls is not Protocol:
            found |= dict.fromkeys(vars(cls).get("__annotations__", {}))
            found |= {name: value for name, value in vars(cls).items() if inspect.isfunction(value)}
            found |= {
                name: None for name, value in vars(cls).items() if isinstance(value, property)
            }
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_") or name == "__version__"
    }


def names_of(version: str) -> dict[str, list[str]]:
    asked: dict[str, set[str]] = {}
    for path, protocol in tables(version):
        asked.setdefault(path, set()).update(members(protocol))
    return {path: sorted(names) for path, names in asked.items()}


@pytest.fixture(params=[*TENSORRT, RTX])
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == RTX and importlib.util.find_spec(RTX) is None:
        pytest.skip("tensorrt_rtx is not installed")
    return name


def test_each_version_has_every_name_our_code_uses(probe: Probe, version: str) -> None:
    answer = probe(version, names_of(version))
    assert answer["missing"] == []
    assert version in (RTX, answer["version"])


def test_each_version_takes_the_arguments_that_our_code_gives(probe: Probe, version: str) -> None:
    docs = probe(version, names_of(version))["docs"]
    checked = 0
    for path, protocol in tables(version):
        for name, function in members(protocol).items():
            signatures = accepted(docs.get(f"{path}.{name}".lstrip("."), ""))
            if function is None or not signatures:
                continue
            given = len(inspect.signature(function).parameters) - 1
            assert any(low <= given <= high for low, high in signatures), (
                path,
                name,
                given,
                signatures,
            )
            checked += 1
    assert checked >= 20  # the docstrings of pybind11 were understood


def accepted(doc: str) -> list[tuple[int, int]]:
    """Numbers of arguments, self left out,
    that each overload in a docstring of pybind11 takes: (fewest, most).
    """
    found = []
    for arguments in re.findall(r"^(?:\d+\. )?\w+\(self: [\w.]+(.*)\) -> ", doc, re.MULTILINE):
        flat = arguments
        while re.search(r"[\[(<][^\[\](<)>]*[\])>]", flat):
            flat = re.sub(r"[\[(<][^\[\](<)>]*[\])>]", "", flat)
        words = [word for word in flat.split(",") if ":" in word]
        found.append((sum("=" not in word for word in words), len(words)))
    return found


def test_each_version_takes_our_logger_and_our_progress_monitor(probe: Probe, version: str) -> None:
    assert probe(version, {})["said"] == ["no memory", ["Building", 2, 3], True]


def test_each_version_is_asked_for_a_strongly_typed_network(probe: Probe, version: str) -> None:
    # The flag is bit 1 of TensorRT 10, after EXPLICIT_BATCH, and bit 0 where that one is gone.
    assert probe(version, {})["flags"] == (2 if version.startswith("10.") else 1)


def test_a_name_that_is_gone_is_found_out(probe: Probe, version: str) -> None:
    # TensorRT 11 took the precision flags away, TensorRT 10 still has them;
    # nobody ever had the others.
    gone = [] if version.startswith("10.") else ["BuilderFlag.FP16"]
    asked = {"BuilderFlag": ["FP16"], "Builder": ["no_such_name"], "NoSuchClass": []}
    assert probe(version, asked)["missing"] == [*gone, "Builder.no_such_name", "NoSuchClass"]


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.__name__)
def test_no_protocol_is_left_out_of_the_contract(api: ModuleType) -> None:
    held = {protocol for version in (*TENSORRT, RTX) for _, protocol in tables(version)}
    ours = {c for _, c in inspect.getmembers(api, inspect.isclass) if c.__module__ == api.__name__}
    assert ours
    assert ours <= held


def test_a_docstring_of_pybind11_is_read_as_the_numbers_of_arguments_it_takes() -> None:
    doc = (
        "set_shape(self: trt.Profile, input: str, min: trt.Dims, opt: trt.Dims, max: "
        "trt.Dims = (1, 2)) -> None"
    )
    assert accepted(doc) == [(3, 4)]
    assert accepted(
        "Overloaded function.\n\n1. f(self: a.B) -> int\n\n2. f(self: a.B, x: "
        "Tuple[int, int]) -> int"
    ) == [
        (0, 0),
        (1, 1),
    ]
