"""Lava processes of ours, and nothing else.

Lava imports every module in this folder when it looks for process models.
"""
