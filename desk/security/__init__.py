"""Who somebody is, what they may do, and what a browser may do with what they see."""
