"""SC-CAM: segmentation from image-level labels, by exploring sub-categories of each class.

Source: Y.-T. Chang, Q. Wang, W.-C. Hung, R. Piramuthu, Y.-H. Tsai, M.-H. Yang, "Weakly-Supervised Semantic
Segmentation via Sub-category Exploration", CVPR 2020.
"""
