"""Networks scored on a list of a data set, in several ways to predict."""
