"""Broker and database that come with newstide, for one machine: started, watched and stopped by whoever needs them."""
