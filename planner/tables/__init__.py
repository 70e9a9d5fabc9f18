"""Tables of trainings: read, checked, and with every row's exact costs."""
