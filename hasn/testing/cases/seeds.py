"""Seeds of the cases in which the usual one brings a voltage too near to its threshold for float32."""

from __future__ import annotations

SEEDS: dict[str, int] = {
    "Conv1d-exact-subtract-batch": 1,
    "Conv1d-exact-zero": 1,
    "Conv2d_same_dilated-exact-subtract-batch": 1,
    "CubaLI-euler-subtract-batch": 1,
    "CubaLI-exact-subtract-batch": 1,
    "I-exact-subtract": 2,
    "AdaptiveLIF-exact-subtract": 1,
    "CubaLIF_refractory-euler-zero-batch": 1,
    "LI-euler-subtract-batch": 1,
    "LI-exact-subtract-batch": 1,
    "Linear_of_blocks-exact-subtract-batch": 1,
    "SumPool2d-exact-subtract": 1,
    "SumPool2d-exact-subtract-batch": 1,
    "all_neurons_together-hardware": 1,
    "another_time_step": 1,
    "loop_without_neurons_with_bias_and_delay": 1,
    "loops_entered_from_two_sides": 1,
    "negative_resistance": 3,
    "negative_resistance-exact-batch": 3,
    "padded_pools_of_spikes-exact-subtract-batch": 1,
    "spiking_conv_net": 1,
    "spiking_conv_net-exact-subtract": 4,
}
