"""Which log groups there are, and which of them the settings select."""
