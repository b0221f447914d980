"""The names of TensorRT's Python API that building a plan uses: mypy allows no other,
tests/contract looks each up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class EnumMember(Protocol):
    """A member of one of TensorRT's enumerations."""

    @property
    def name(self) -> str: ...


class TensorRT(Protocol):
    """The module itself: `tensorrt` or `tensorrt_rtx`."""

    __version__: str
    Builder: Callable[[Any], PlanBuilder]
    OnnxParser: Callable[[Network, Any], Parser]
    IProgressMonitor: type
    BuilderFlag: BuilderFlags
    # Only asked for by getattr: TensorRT may drop the flag, being strongly typed always since 11.
    NetworkDefinitionCreationFlag: object


class BuilderFlags(Protocol):
    """BuilderFlag."""

    TF32: EnumMember


class PlanBuilder(Protocol):
    """Builder."""

    def create_network(self, flags: int, /) -> Network: ...
    def create_builder_config(self) -> Config: ...
    def create_optimization_profile(self) -> Profile: ...
    def build_serialized_network(
        self, network: Network, config: Config, /
    ) -> HostMemory | None: ...


class Network(Protocol):
    """INetworkDefinition."""

    name: str

    @property
    def num_inputs(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    def get_input(self, index: int, /) -> Tensor: ...
    def get_layer(self, index: int, /) -> Layer: ...


class Layer(Protocol):
    """ILayer."""

    @property
    def type(self) -> EnumMember: ...
    @property
    def num_inputs(self) -> int: ...
    @property
    def num_outputs(self) -> int: ...
    def get_input(self, index: int, /) -> Tensor | None: ...
    def get_output(self, index: int, /) -> Tensor: ...


class Tensor(Protocol):
    """ITensor."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> EnumMember: ...
    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def is_shape_tensor(self) -> bool: ...


class Parser(Protocol):
    """OnnxParser."""

    def parse(self, model: bytes, /) -> bool: ...
    @property
    def num_errors(self) -> int: ...
    def get_error(self, index: int, /) -> ParserError: ...


class ParserError(Protocol):
    """ParserError."""

    def node_name(self) -> str: ...
    def node_operator(self) -> str: ...
    def desc(self) -> str: ...


class Config(Protocol):
    """IBuilderConfig."""

    progress_monitor: object

    def add_optimization_profile(self, profile: Profile, /) -> int: ...
    def clear_flag(self, flag: EnumMember, /) -> None: ...


class Profile(Protocol):
    """IOptimizationProfile."""

    def set_shape(
        self, name: str, smallest: Sequence[int], usual: Sequence[int], largest: Sequence[int], /
    ) -> object: ...


class HostMemory(Protocol):
    """IHostMemory: bytes() copies it."""

    @property
    def nbytes(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...


class TimingConfig(Protocol):
    """IBuilderConfig, in `tensorrt` alone:
    in TensorRT for RTX a timing cache does nothing and will go.
    """

    def create_timing_cache(self, content: bytes, /) -> TimingCache | None: ...
    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool, /) -> bool: ...
    def get_timing_cache(self) -> TimingCache | None: ...


class TimingCache(Protocol):
    """ITimingCache."""

    def serialize(self) -> HostMemory: ...


class AheadOfTime(Protocol):
    """The module `tensorrt_rtx`, which alone builds for GPUs that are not there."""

    ComputeCapability: Any
    BuilderFlag: AheadOfTimeFlags


class AheadOfTimeFlags(Protocol):
    """BuilderFlag of `tensorrt_rtx`."""

    REQUIRE_USER_ALLOCATION: EnumMember


class AheadOfTimeConfig(Protocol):
    """IBuilderConfig of `tensorrt_rtx`."""

    num_compute_capabilities: int

    def set_compute_capability(self, capability: EnumMember, index: int, /) -> bool: ...
    def set_flag(self, flag: EnumMember, /) -> None: ...


# Which class of the module each protocol stands for ("" is the module itself):
# in both modules, and in one alone.
BOTH: dict[str, type] = {
    "": TensorRT,
    "BuilderFlag": BuilderFlags,
    "Builder": PlanBuilder,
    "INetworkDefinition": Network,
    "ILayer": Layer,
    "LayerType": EnumMember,
    "DataType": EnumMember,
    "ITensor": Tensor,
    "OnnxParser": Parser,
    "ParserError": ParserError,
    "IBuilderConfig": Config,
    "IOptimizationProfile": Profile,
    "IHostMemory": HostMemory,
}
TENSORRT_ALONE: dict[str, type] = {"IBuilderConfig": TimingConfig, "ITimingCache": TimingCache}
RTX_ALONE: dict[str, type] = {
    "": AheadOfTime,
    "BuilderFlag": AheadOfTimeFlags,
    "IBuilderConfig": AheadOfTimeConfig,
}
