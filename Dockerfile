# The images of Activation: one target for each service.

ARG PYTHON_IMAGE=python:3.14-slim
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13

FROM ${UV_IMAGE} AS uv

# Arguments, not ENV: they hold while building and leave nothing behind in the image.
FROM ${PYTHON_IMAGE} AS dependencies
ARG UV_PROJECT=/mnt
ARG UV_PROJECT_ENVIRONMENT=/app
ARG UV_PYTHON_DOWNLOADS=never
ARG UV_LINK_MODE=copy
ARG UV_COMPILE_BYTECODE=1
# Others' packages, as wheels: a layer that a change of our code leaves alone. uv is mounted, and so
# in no image. --frozen, because our packages are not here yet to compare the lock with.
RUN --mount=from=uv,source=/uv,target=/usr/local/bin/uv \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=/mnt/uv.lock \
    --mount=type=bind,source=pyproject.toml,target=/mnt/pyproject.toml \
    uv sync --frozen --no-dev --no-build --no-install-workspace --package activation-cli

# Our packages. The command line needs all of them, so one environment serves every image: they
# share its layers, and a change of code makes one small layer anew. --no-cache, because uv's cache
# takes a package for unchanged while its pyproject.toml is.
FROM dependencies AS service
RUN --mount=from=uv,source=/uv,target=/usr/local/bin/uv \
    --mount=type=bind,target=/mnt \
    uv sync --locked --no-dev --no-editable --no-cache --package activation-cli
ENV PATH=/app/bin:$PATH
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
ARG PYTHON_IMAGE
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"

FROM service AS gateway
LABEL org.opencontainers.image.title="activation-gateway" \
      org.opencontainers.image.description="The HTTP API of Activation, its relay and its reaper"
EXPOSE 8000 9000
ENTRYPOINT ["activation-gateway"]

FROM service AS worker
LABEL org.opencontainers.image.title="activation-worker" \
      org.opencontainers.image.description="Carries out the tasks of Activation"
EXPOSE 9001
ENTRYPOINT ["activation-worker"]

FROM service AS handler
LABEL org.opencontainers.image.title="activation-handler" \
      org.opencontainers.image.description="A mock provisioning system with scripted faults"
EXPOSE 8080
ENTRYPOINT ["activation-handler"]

# For work in a cluster. Our packages stay files below /src, which Skaffold and Tilt write to, and a
# change of one restarts the service. COPY instead of a mount, because Skaffold learns from the COPY
# lines of the whole file what any of the images is made of.
FROM dependencies AS dev
ARG UV_PROJECT=/src
WORKDIR /src
COPY --chown=10001:10001 pyproject.toml uv.lock ./
COPY --chown=10001:10001 services services
RUN --mount=from=uv,source=/uv,target=/usr/local/bin/uv \
    uv sync --locked --no-dev --no-cache --package activation-cli
ENV PATH=/app/bin:$PATH
USER 10001:10001

# Nobody waits for a pod that restarts: whatever the chart says, it drains for a second at most.
# watchfiles sends SIGINT, and SIGKILL 5 s later.
FROM dev AS gateway-dev
EXPOSE 8000 9000
ENTRYPOINT ["watchfiles", "--filter=python", "env ACTIVATION_DRAIN_DELAY_S=0 activation-gateway", \
            "services/activation", "services/gateway"]

FROM dev AS worker-dev
EXPOSE 9001
ENTRYPOINT ["watchfiles", "--filter=python", "env ACTIVATION_DRAIN_S=1 activation-worker", \
            "services/activation", "services/worker"]

FROM dev AS handler-dev
EXPOSE 8080
ENTRYPOINT ["watchfiles", "--filter=python", "activation-handler", \
            "services/activation", "services/handler"]
