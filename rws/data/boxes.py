"""Boxes of images as the data wing hands them about: plain numbers, of which a list survives JSON."""

Box = tuple[int, int, int, int]  # y, x, height, width in pixels of the image, top left corner first
