"""Text in and out: files, quantities, markup."""
