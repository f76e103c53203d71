"""The benchmark suite: simulated sequences with known truth, and what runs methods over them."""
