"""What hasn costs and gains, measured; ``python -m benchmarks --help`` compares it with other tools."""
