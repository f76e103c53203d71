"""What dies, fills up, cannot be written, or is begun twice: does anything get lost, or is anything half taken for whole?"""
