# How the image that Cog has built becomes a node of a Ray cluster:
#   cog build -t my-model
#   docker build -f images/ray.Dockerfile --build-arg COG_IMAGE=my-model -t my-model-ray .
ARG COG_IMAGE=my-model
FROM ${COG_IMAGE}
RUN pip install --no-cache-dir -r /src/requirements-run.txt "ray[serve]==2.60.0"
# Run as it is, it is a cluster of its own. KubeRay puts `ray start` in the place of the command; then Serve's
# configuration names import_path pilotlight.adapters.ray:application, with args such as {project: /src, max_replicas: 4}.
ENV PILOTLIGHT_SERVE_ON=ray PILOTLIGHT_SERVE_HOST=0.0.0.0 PYTHONPATH=/src
WORKDIR /src
ENTRYPOINT ["/sbin/tini", "--", "python", "-m", "pilotlight"]
CMD ["serve"]
