"""The snnTorch backend: a Program as a torch module that trains. Importing this imports neither torch nor snnTorch."""

from hasn.backends.snntorch.backend import SnnTorchBackend

BACKEND = SnnTorchBackend()
