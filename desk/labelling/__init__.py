"""Labels: which story is worth a label next, who has it, what was said of it, and how well analysts agree."""
