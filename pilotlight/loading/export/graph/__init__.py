"""Builds OpenVINO models of Llama-like language models from their tensors, with numpy and OpenVINO alone."""
