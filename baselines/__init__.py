"""The supervised networks of the field, written afresh in Flax, with their published weights."""
