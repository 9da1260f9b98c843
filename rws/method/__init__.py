"""The five steps over a data set: look, find, train on slices, select, fuse; knows no cycle."""
