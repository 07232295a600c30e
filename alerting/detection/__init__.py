"""What is a surge: pure, numpy only; no input or output."""
