# The runner: tracker, peer, verdict and `swarmrace shape` in one image. docs/kubernetes.md has its
# size and start time, and how to build it without a registry.
#
#   buildah bud --layers -t localhost/swarmrace:0.1.0 .
#   buildah bud --layers --target report -t localhost/swarmrace-report:0.1.0 .
#   buildah bud --layers --target sweep -t localhost/swarmrace-sweep:0.1.0 .
#   docker build --platform linux/arm64 -t localhost/swarmrace:0.1.0 .
#
# Nothing in it depends on the architecture: --platform chooses linux/amd64 or linux/arm64.
ARG BASE_IMAGE=python:3.13-slim-bookworm
# An image with helm and kubectl; only the target `sweep` needs it.
ARG TOOLS_IMAGE=alpine/k8s:1.36.0

FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements ./requirements
# Versions and hashes are locked, also those of the tools that build the wheel.
RUN python3 -m venv --without-pip /opt/swarmrace \
 && python3 -m venv /build/tools \
 && tools/bin/pip install -q --require-hashes -r requirements/build.txt \
 && tools/bin/pip --python /opt/swarmrace/bin/python install -q --only-binary :all: --require-hashes \
      -r requirements/runtime.txt
COPY LICENSE README.md pyproject.toml ./
COPY runner ./runner
RUN tools/bin/pip wheel -q --no-build-isolation --no-deps --wheel-dir wheels . \
 && tools/bin/pip --python /opt/swarmrace/bin/python install -q --no-index --no-deps wheels/*.whl \
 && find /opt/swarmrace/lib -depth -type d -name tests -exec rm -rf {} + \
 && /opt/swarmrace/bin/python -m compileall -q /opt/swarmrace/lib

FROM ${BASE_IMAGE} AS runtime
# pip and its files are removed.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
      /usr/local/lib/python3*/site-packages/wheel* /usr/local/lib/python3*/ensurepip \
      /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* \
      /usr/lib/python3/dist-packages/wheel* /usr/lib/python3*/ensurepip /usr/share/python-wheels \
      /usr/local/bin/pip* /usr/bin/pip*
COPY --from=build /opt/swarmrace /opt/swarmrace
# The root file system is read-only in pods, so the image already contains the bytecode.
ENV PATH=/opt/swarmrace/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
WORKDIR /tmp
# These change with each commit. They come last so that the layers above stay cached.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=unknown
# The commit that race.json records.
ENV SWARMRACE_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="swarmrace" \
      org.opencontainers.image.description="Races Codex (Logos Storage) against BitTorrent, byte by byte." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
ENTRYPOINT ["swarmrace"]
CMD ["--help"]

# For reports: the runner with what `swarmrace[report]` needs (docs/report.md).
FROM build AS report-build
# Only what is new goes into the image: the runner is there already.
RUN mkdir new && touch before \
 && tools/bin/pip --python /opt/swarmrace/bin/python install -q --only-binary :all: --require-hashes \
      -r requirements/report.txt \
 && (cd / && find opt/swarmrace -cnewer /build/before ! -type d -print0 | tar -c --null -T -) | tar -x -C new

FROM runtime AS report
COPY --from=report-build /build/new/ /

# For a sweep's workflow: the target `report`, with helm, kubectl and the packaged chart.
FROM ${TOOLS_IMAGE} AS tools
USER 0
COPY charts /build/charts
RUN mkdir -p /build/programs /build/packages \
 && cp "$(command -v helm)" "$(command -v kubectl)" /build/programs/ \
 && for chart in /build/charts/*/; do helm dependency update "$chart" >/dev/null; done \
 && helm package /build/charts/swarmrace --destination /build/packages >/dev/null \
 && mv /build/packages/swarmrace-*.tgz /build/packages/swarmrace.tgz

FROM report AS sweep
COPY --from=tools /build/programs/ /usr/local/bin/
COPY --from=tools /build/packages/ /opt/charts/
ENV SWARMRACE_CHART=/opt/charts/swarmrace.tgz HELM_CACHE_HOME=/tmp/helm HELM_CONFIG_HOME=/tmp/helm \
    HELM_DATA_HOME=/tmp/helm

FROM runtime
