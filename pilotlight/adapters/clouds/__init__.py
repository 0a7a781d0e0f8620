"""Adapters that serve the predictor on RunPod, Vertex AI and SageMaker."""
