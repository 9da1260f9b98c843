"""What a run costs: measured on a few images, and reckoned for all of them."""
