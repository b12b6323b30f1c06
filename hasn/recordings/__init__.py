"""Recordings on the way to other tools: npz files, NIR data, Neo blocks."""
