"""Films: where their frames come from, how they are segmented, drawn, written and measured.

sources.py      what the command line names, as a source of frames (files.py, pictures.py, camera.py)
projection.py   a film from its source through the networks into its file
sinks.py        MP4 and GIF, written frame by frame
j_and_f.py      region similarity and contour accuracy of DAVIS
"""
