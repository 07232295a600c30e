"""The front door: the `newstide` command, the embedded stack, `up` and `demo`."""
