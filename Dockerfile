# The runner: tracker, peer, verdict and `swarmrace shape` in one image. docs/kubernetes.md tells size
# and start time, and how to build it without a registry.
#
#   buildah bud --layers -t localhost/swarmrace:0.1.0 .
#   buildah bud --layers --target sweep -t localhost/swarmrace-sweep:0.1.0 .
#   docker build --platform linux/arm64 -t localhost/swarmrace:0.1.0 .
#
# Nothing in it depends on the architecture: linux/amd64 and linux/arm64 are chosen by --platform.
ARG BASE_IMAGE=python:3.13-slim-bookworm
# Has helm and kubectl; only the target `sweep` needs it.
ARG TOOLS_IMAGE=alpine/k8s:1.36.0

FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements ./requirements
# Versions and hashes are locked, those of what builds the wheel too.
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
# tc, for `swarmrace shape`, is Debian's iproute2. pip and what belongs to it don't stay.
RUN if ! command -v tc >/dev/null; then \
      apt-get update && apt-get install -y --no-install-recommends iproute2 && rm -rf /var/lib/apt/lists/*; \
    fi \
 && rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
      /usr/local/lib/python3*/site-packages/wheel* /usr/local/lib/python3*/ensurepip \
      /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* \
      /usr/lib/python3/dist-packages/wheel* /usr/lib/python3*/ensurepip /usr/share/python-wheels \
      /usr/local/bin/pip* /usr/bin/pip*
COPY --from=build /opt/swarmrace /opt/swarmrace
# The root file system is read-only in the pods: bytecode is in the image already.
ENV PATH=/opt/swarmrace/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
WORKDIR /tmp
# Last: what changes with each commit must not make the layers above anew.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=unknown
# What race.json says of the code that raced.
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

# What a sweep's workflow runs: the runner with its report, helm, kubectl and the packaged chart.
FROM ${TOOLS_IMAGE} AS tools
USER 0
COPY charts /build/charts
RUN mkdir -p /build/programs /build/packages \
 && cp "$(command -v helm)" "$(command -v kubectl)" /build/programs/ \
 && for chart in /build/charts/*/; do helm dependency update "$chart" >/dev/null; done \
 && helm package /build/charts/swarmrace --destination /build/packages >/dev/null \
 && mv /build/packages/swarmrace-*.tgz /build/packages/swarmrace.tgz

FROM build AS report
RUN tools/bin/pip --python /opt/swarmrace/bin/python install -q --only-binary :all: --require-hashes \
      -r requirements/report.txt

FROM runtime AS sweep
COPY --from=report /opt/swarmrace /opt/swarmrace
COPY --from=tools /build/programs/ /usr/local/bin/
COPY --from=tools /build/packages/ /opt/charts/
ENV SWARMRACE_CHART=/opt/charts/swarmrace.tgz HELM_CACHE_HOME=/tmp/helm HELM_CONFIG_HOME=/tmp/helm \
    HELM_DATA_HOME=/tmp/helm

FROM runtime
