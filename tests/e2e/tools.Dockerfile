# helm and kubectl of this machine, for the image target `sweep` where no registry is reached.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
COPY helm kubectl /usr/local/bin/
