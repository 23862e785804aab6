# Every part of the service, one target each; compose.yaml and deploy/kubernetes say how they work together.
#
#   docker build --tag upscaler .                        the whole service with its embedded Postgres, as `make run`:
#                                                        docker run -p 127.0.0.1:8000:8000 -v upscaler:/data upscaler
#   docker build --target web --tag upscaler:web .       answers requests; computes nothing: no torch, OpenCV or OpenVINO
#   docker build --target worker-cpu …                   inference on a CPU, and all other work of the queue
#   docker build --target worker-cuda …                  the same on NVIDIA's cards
#   docker build --target worker-vulkan …                the same on cards of any maker; the container needs /dev/dri
#
# NVIDIA's libraries come with torch's wheels, so the base needs none. The images for CPUs are some gigabytes smaller with
# --build-arg TORCH_INDEX_URL=<PyTorch's index of CPU wheels, see "Get started" on pytorch.org>. Packages are pinned by hash:
# deploy/images/locks.
#
# To pin the base as well, put its digest behind the tag (@sha256:…; `docker buildx imagetools inspect TAG` tells it) or pass it
# as --build-arg PYTHON_IMAGE=…; Renovate and Dependabot know this line and keep a digest up to date.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

# --- Packages ---------------------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY deploy/images /build
# Packages of settings that need some: pictures in S3 (STORAGE), messages over a Redis (BROKER_URL), log-in by OpenID Connect
# (OIDC_ISSUER), traces (OTEL_EXPORTER_OTLP_ENDPOINT). --build-arg EXTRAS="s3" takes fewer.
ARG EXTRAS="s3 redis oidc otel"

FROM packages AS packages-web
RUN /build/install.sh web

FROM packages AS packages-cpu
# The original realesrgan package (ENGINE_BACKEND=reference); --build-arg REFERENCE=0 leaves it out.
ARG REFERENCE=1
ARG TORCH_INDEX_URL=""
ARG TORCH_SHA256=""
RUN /build/install.sh cpu

FROM packages AS packages-cuda
ARG REFERENCE=1
RUN /build/install.sh cuda

FROM packages AS packages-vulkan
ARG REFERENCE=1
ARG TORCH_INDEX_URL=""
ARG TORCH_SHA256=""
RUN /build/install.sh vulkan

# --- The program ------------------------------------------------------------------------------------------------------
# The fast kernels for CPUs, for every instruction set: the processor that runs the image may be another than this one.
FROM ${PYTHON_IMAGE} AS kernels
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY jobs jobs
RUN python -m jobs.engine.backends.winograd.build --to /kernels

# Readable for every user, whatever umask the checkout was made under.
FROM ${PYTHON_IMAGE} AS program
WORKDIR /app
COPY . .
COPY --from=kernels /kernels jobs/engine/backends/winograd/built
RUN rm -rf deploy && python -m compileall -q . && chmod -R u=rwX,go=rX .

# --- What all targets share -------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=1.0.0
ARG REVISION=""
LABEL org.opencontainers.image.title="upscaler" \
      org.opencontainers.image.description="Pictures up to sixteen times larger, by Real-ESRGAN and other networks" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# tini: process 1 of the container. It passes signals on and reaps what killed workers leave behind.
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 upscaler \
    && useradd --uid 10001 --gid upscaler --home-dir /data --no-create-home --shell /usr/sbin/nologin upscaler \
    && install --directory --owner upscaler --group upscaler /data
WORKDIR /app
COPY --from=program /app /app
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    UPSCALER_DATA_DIR=/data \
    LISTEN_ADDRESS=0.0.0.0 \
    PORT=8000
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]

# --- Targets ----------------------------------------------------------------------------------------------------------
FROM runtime AS web
COPY --from=packages-web /opt/venv /opt/venv
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --retries=4 --start-period=60s CMD ["python", "-m", "upscaler_site.web.alive"]
CMD ["python", "-m", "upscaler_site.web.server"]

FROM runtime AS worker-cuda
COPY --from=packages-cuda /opt/venv /opt/venv
HEALTHCHECK --interval=30s --timeout=20s --retries=4 --start-period=120s CMD ["python", "manage.py", "worker_health", "gpu"]
CMD ["python", "-m", "upscaler_site.serve", "--only", "gpu"]

FROM runtime AS worker-vulkan
USER 0:0
RUN apt-get update && apt-get install -y --no-install-recommends mesa-vulkan-drivers && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=packages-vulkan /opt/venv /opt/venv
ENV DEVICE=vulkan
HEALTHCHECK --interval=30s --timeout=20s --retries=4 --start-period=120s CMD ["python", "manage.py", "worker_health", "gpu"]
CMD ["python", "-m", "upscaler_site.serve", "--only", "gpu"]

FROM runtime AS worker-cpu
COPY --from=packages-cpu /opt/venv /opt/venv
HEALTHCHECK --interval=30s --timeout=20s --retries=4 --start-period=120s CMD ["python", "manage.py", "worker_health", "gpu"]
CMD ["python", "-m", "upscaler_site.serve", "--only", "gpu"]

# The default: everything in one container, as `make run`.
FROM worker-cpu AS service
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --retries=4 --start-period=120s CMD ["python", "-m", "upscaler_site.web.alive"]
CMD ["python", "-m", "upscaler_site.serve"]
