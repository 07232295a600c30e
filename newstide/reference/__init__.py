"""The pages of docs/ that follow from the code: `python -m newstide.reference` writes them, a test holds them to it."""
