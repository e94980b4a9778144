# This machine's helm and kubectl, for the image target `sweep` on a machine without registry access.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
COPY helm kubectl /usr/local/bin/
