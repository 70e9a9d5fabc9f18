"""Every rule's and search's network at the same budget: which they are, what they reach, and how sure that is."""
