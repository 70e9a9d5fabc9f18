"""An architecture in, a measurement out (torch and timm)."""
