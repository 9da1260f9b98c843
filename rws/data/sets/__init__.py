"""One file a data set: where its images, labels and lists lie, and what its classes are."""
