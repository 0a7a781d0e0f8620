# How the image that Cog has built becomes a RunPod serverless worker:
#   cog build -t my-model
#   docker build -f images/runpod.Dockerfile --build-arg COG_IMAGE=my-model -t my-model-runpod .
ARG COG_IMAGE=my-model
FROM ${COG_IMAGE}
RUN pip install --no-cache-dir -r /src/requirements-run.txt runpod==1.12.0
# Listens nowhere: it polls RunPod's queue. The worker is warm before it does, so FlashBoot snapshots a warm process.
ENV PILOTLIGHT_SERVE_ON=runpod PILOTLIGHT_SERVE_HOST=0.0.0.0
WORKDIR /src
ENTRYPOINT ["/sbin/tini", "--", "python", "-m", "pilotlight"]
CMD ["serve"]
