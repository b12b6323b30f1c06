"""What a graph's metadata keep of its quantising, where somebody has changed it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hasn.conversions.loihi.network import KEY, QuantisedNetwork
from hasn.errors import ParameterError
from tests.unit.conversions.loihi.bundles import network

DAMAGED: dict[str, dict[str, Any]] = {
    "scales are a number": {"scales": 5},
    "a scale is a number": {"scales": {"hidden": 5}},
    "a scale without its offset": {"scales": {"hidden": {"scale": [1.0]}}},
    "a scale of text": {"scales": {"hidden": {"scale": "x", "offset": [0.0]}}},
    "input scales are a list": {"input_scales": [1]},
    "an input scale of text": {"input_scales": {"input": "much"}},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_scales_are_named(name: str) -> None:
    graph = network().with_metadata()
    assert QuantisedNetwork.of_graph(graph).scales["hidden"].scale.tolist() == [640.0] * 4
    graph.metadata[KEY] = json.dumps(json.loads(graph.metadata[KEY]) | DAMAGED[name])
    with pytest.raises(ParameterError, match=r"metadata\['loihi'\]: the scales .* are damaged .* Quantise the float"):
        QuantisedNetwork.of_graph(graph)
