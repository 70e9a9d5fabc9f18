"""Networks for people who do not have the planner: timm code, weights, ONNX."""
