"""The main job: train on handwritten digits, write a NIR file, run it everywhere, show that all agree."""
