"""`python -m newstide` is the `newstide` command."""

from newstide.cli import main

if __name__ == "__main__":
    main()
