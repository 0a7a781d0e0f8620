# How the image that Cog has built becomes a custom container of Vertex AI:
#   cog build -t my-model
#   docker build -f images/vertex.Dockerfile --build-arg COG_IMAGE=my-model -t my-model-vertex .
ARG COG_IMAGE=my-model
FROM ${COG_IMAGE}
RUN pip install --no-cache-dir -r /src/requirements-run.txt
# Port and routes come from AIP_HTTP_PORT, AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE.
ENV PILOTLIGHT_SERVE_ON=vertex PILOTLIGHT_SERVE_HOST=0.0.0.0
WORKDIR /src
ENTRYPOINT ["/sbin/tini", "--", "python", "-m", "pilotlight"]
CMD ["serve"]
