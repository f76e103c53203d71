"""Pages of HTML that work from disk without a network: of a recording, and of methods side by side."""
