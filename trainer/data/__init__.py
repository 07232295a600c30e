"""Labelled texts: corpora, analysts' labels, and splits that no story straddles."""
