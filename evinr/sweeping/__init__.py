"""Sweeps: many fits of the same recordings, which differ in their options, by W&B's schema and search engine."""
