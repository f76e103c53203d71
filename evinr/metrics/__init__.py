"""Scores of pictures: pure functions of batches (n, H, W) in [0, 1], each giving one number a picture."""
