"""Many fits at once: what one of them is, and who does them."""
