"""Annotations of other tools, one format a file, written as a folder that `data.name=folder` reads."""
