"""The whole stack on one machine: what it consists of, who watches its processes, and what a terminal shows of it."""
