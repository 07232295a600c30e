"""The demo feed: an invented fortnight of financial news and comments, with one bank in trouble."""

from newstide.scenario.feed import BANK, FORTNIGHT, IPO, SURGE_AFTER, generate_feed

__all__ = ["BANK", "FORTNIGHT", "IPO", "SURGE_AFTER", "generate_feed"]
