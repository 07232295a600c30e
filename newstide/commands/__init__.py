"""The subcommands of `newstide`: one file a group, each a thin call into a library function of a room or of core."""
