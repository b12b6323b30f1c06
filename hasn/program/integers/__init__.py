"""Networks in the chip's integers: what a Program must be to run bit for bit, and its integer form."""
