"""The engines on ONNX Runtime."""
