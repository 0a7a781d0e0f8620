# How the image that Cog has built becomes a container of SageMaker:
#   cog build -t my-model
#   docker build -f images/sagemaker.Dockerfile --build-arg COG_IMAGE=my-model -t my-model-sagemaker .
ARG COG_IMAGE=my-model
FROM ${COG_IMAGE}
RUN pip install --no-cache-dir -r /src/requirements-run.txt
# SageMaker runs the image with the argument "serve", on port 8080.
ENV PILOTLIGHT_SERVE_ON=sagemaker PILOTLIGHT_SERVE_HOST=0.0.0.0
WORKDIR /src
ENTRYPOINT ["/sbin/tini", "--", "python", "-m", "pilotlight"]
CMD ["serve"]
