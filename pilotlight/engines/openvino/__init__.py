"""The engines on OpenVINO and OpenVINO GenAI."""
