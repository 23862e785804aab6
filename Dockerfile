# One image for every part of the service; compose.yaml says which part a container is. By itself it runs the whole service
# with its embedded Postgres: docker run -p 127.0.0.1:8000:8000 -v upscaler:/data upscaler
#
# NVIDIA's libraries come with torch's wheels, so the base needs none. For a CPU the image is some gigabytes smaller with
# --build-arg TORCH_INDEX_URL=<PyTorch's index of CPU wheels, see "Get started" on pytorch.org>.
FROM python:3.12-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
ARG TORCH_INDEX_URL=""
COPY requirements.txt /build/
RUN pip install ${TORCH_INDEX_URL:+--extra-index-url "${TORCH_INDEX_URL}"} --requirement /build/requirements.txt
# The original realesrgan package (ENGINE_BACKEND=reference); --build-arg REFERENCE=0 leaves it out.
ARG REFERENCE=1
COPY requirements-build.txt requirements-reference.txt /build/
RUN if [ "${REFERENCE}" = 1 ]; then \
      pip install --requirement /build/requirements-build.txt \
      && pip install --no-deps --no-build-isolation --requirement /build/requirements-reference.txt; \
    fi
# Networks of other families (docs/models.md), without the torchvision that spandrel asks for.
COPY requirements-families.txt /build/
RUN pip install --no-deps --requirement /build/requirements-families.txt

# Log-in of staff by OpenID Connect (OIDC_ISSUER): --build-arg OIDC=1.
ARG OIDC=0
COPY requirements-oidc.txt /build/
RUN if [ "${OIDC}" = 1 ]; then pip install --requirement /build/requirements-oidc.txt; fi

# Graphics cards of any maker by Vulkan (DEVICE=vulkan, and the container needs /dev/dri): --build-arg VULKAN=1.
ARG VULKAN=0
COPY requirements-vulkan.txt /build/
RUN if [ "${VULKAN}" = 1 ]; then pip install --requirement /build/requirements-vulkan.txt; fi

# The fast kernels for CPUs, for every instruction set: the processor that runs the image may be another than this one.
FROM python:3.12-slim-bookworm AS kernels
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY jobs jobs
RUN python -m jobs.engine.backends.winograd.build --to /kernels

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 upscaler \
    && useradd --uid 10001 --gid upscaler --home-dir /data --no-create-home --shell /usr/sbin/nologin upscaler \
    && install --directory --owner upscaler --group upscaler /data
ARG VULKAN=0
RUN if [ "${VULKAN}" = 1 ]; then \
      apt-get update && apt-get install -y --no-install-recommends mesa-vulkan-drivers && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY . .
COPY --from=kernels /kernels jobs/engine/backends/winograd/built
RUN /opt/venv/bin/python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    UPSCALER_DATA_DIR=/data \
    LISTEN_ADDRESS=0.0.0.0 \
    PORT=8000
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["python", "-m", "upscaler_site.serve"]
