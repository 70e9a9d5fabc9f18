"""A study on disk: its settings, its ledger, who reads and who writes them."""
