"""The predictor behind the contracts of RunPod, Vertex AI and SageMaker."""
