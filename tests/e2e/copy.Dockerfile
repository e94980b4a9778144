# examples/systems/tcp_copy.py in an image of its own, for the sidecar of an `exec` entrant.
ARG BASE_IMAGE=python:3.13-slim-bookworm
FROM ${BASE_IMAGE}
COPY tcp_copy.py /usr/local/bin/
USER 65532:65532
