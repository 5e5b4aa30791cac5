"""What a scenario may say about techniques of serving: formats, sparsity, speculation, adapters."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.spec._base import FieldError, ModelName, SpecModel
from clustersim.units import BANDWIDTH, BandwidthQuantity, quantity

__all__ = ["LoraSpec", "ServingTechniquesSpec", "SpeculationSpec"]

_Count = Annotated[int, Field(ge=1)]


class SpeculationSpec(SpecModel):
    """Speculative decoding: some tokens are guessed and checked in one pass."""

    draft: ModelName | None = None
    """Model that guesses, whole on one GPU of the replica. Default: guesses are looked up in the text so far
    (n-grams), which costs nothing."""
    tokens: Annotated[int, Field(ge=1, le=32)] = 4
    """Tokens that are guessed in each step."""
    acceptance: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Chance that a guessed token is accepted, if those before it were."""


class LoraSpec(SpecModel):
    """Many fine-tuned variants of one model: low-rank adapters on all matrices of the layers."""

    adapters: _Count
    """Adapters that requests ask for."""
    rank: _Count = 16
    """Width of an adapter's inner dimension."""
    resident: _Count | None = None
    """Adapters that GPU memory has room for; others are fetched from the host. Default: all."""
    skew: Annotated[float, Field(ge=0.0)] = 1.0
    """Exponent of Zipf's law of their popularity: that of the i-th goes with 1/i^skew; 0: all alike."""
    swap_bandwidth: BandwidthQuantity = quantity("25 GB/s", BANDWIDTH)
    """Rate at which a GPU fetches an adapter from host memory."""

    @model_validator(mode="after")
    def _resident_are_some(self) -> Self:
        if self.resident is not None and self.resident > self.adapters:
            raise FieldError(f"are more than the {self.adapters} adapters", "resident")
        return self


class ServingTechniquesSpec(SpecModel):
    """Techniques of a service. A distilled or smaller model is one of another name: `model`."""

    weights: Literal["fp8", "int8", "int4", "mxfp4"] | None = None
    """Format of the layers' matrices; int4 as by GPTQ and AWQ. Without `activations` they are brought back
    to `precision` inside the kernels. Default: `precision`."""
    activations: Literal["fp8", "int8"] | None = None
    """Format of what the layers' matrices are multiplied with, at the device's rate for it; needs `weights`
    of the same format."""
    sparsity: Literal["2:4"] | None = None
    """Structured sparsity: two of four weights are zero."""
    cuda_graphs: bool = True
    """Steps that the engine can capture as graphs run without launching kernels one by one, padded to the
    size of the next graph."""
    speculation: SpeculationSpec | None = None
    """Speculative decoding. Default: none."""
    lora: LoraSpec | None = None
    """Adapters of the model. Default: none."""

    @model_validator(mode="after")
    def _formats_match(self) -> Self:
        if self.activations is not None and self.weights != self.activations:
            raise FieldError(
                f"needs 'weights: {self.activations}' beside it, as products take both in one format",
                "activations",
            )
        return self
