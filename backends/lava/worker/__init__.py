"""What runs in Lava's own Python 3.10: standard library, numpy, scipy and lava-nc, nothing of hasn.

``main.py`` is started by its path and loads this folder as the package ``hasn_lava_worker``; imports in here are
therefore relative. Modules that need neither Lava nor Python 3.10 (``frames``, ``engines``, ``memory``) can be used by
hasn too.
"""
